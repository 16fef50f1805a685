"""The commands of the pretraining; loads no torch before they run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from autopanoptic.panoptic.run import commands as run
from autopanoptic.panoptic.run.choice import is_given
from autopanoptic.panoptic.run.options import flag_of

if TYPE_CHECKING:
    from autopanoptic.nas import Architecture
    from autopanoptic.panoptic.pretraining.images import ImageClasses
    from autopanoptic.panoptic.pretraining.recipe import PretrainingRecipe
    from autopanoptic.panoptic.pretraining.stages import Pretrained
    from autopanoptic.panoptic.settings.settings import Settings

Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the pretraining; goes on with what it holds.")]
Images = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder with train/CLASS/ and val/CLASS/, as ImageNet is laid out.")
]
Crops = Annotated[
    bool, typer.Option("--crops", help="Instead of --images: crops of the things and stuff of the config's own data.")
]
Config = Annotated[
    str, typer.Option(metavar="FILE", help="YAML file, or the name of one that ships: widths, data, machine, seed.")
]
Data = Annotated[
    str | None, typer.Option(metavar="DIR", help="data.path: what --crops cuts; without it scenes are generated.")
]
Width = Annotated[str | None, typer.Option(metavar="NAME", help="width: of a published backbone, 300m, 1.3g or 3.8g.")]
Recipe = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="imagenet (default of --images) or small (minutes on a CPU; of --crops)."),
]
Passes = Annotated[int | None, typer.Option(metavar="N", help="recipe.passes: each on one batch.")]
BatchSize = Annotated[
    int | None, typer.Option(metavar="N", help="machine.batch_size: images a device computes at a time; a batch stays.")
]
Devices = Annotated[
    int | None, typer.Option(metavar="N", help="machine.devices: GPUs, or processes on a CPU, that train together.")
]
Precision = Annotated[
    str | None, typer.Option(metavar="NAME", help="machine.precision: 32-true, or bf16-mixed on a GPU.")
]
Logger = Annotated[str | None, typer.Option(metavar="NAME", help="machine.logger: csv or tensorboard.")]
ImageSize = Annotated[int | None, typer.Option(metavar="N", help="recipe.image_size: in pixels.")]
Check = Annotated[
    bool, typer.Option("--check/--no-check", help="Decode every image of --images first, to name those that fail.")
]
Seed = Annotated[int | None, typer.Option(metavar="N", help="seed: decides everything that is drawn.")]
Device = Annotated[str | None, typer.Option(metavar="NAME", help="machine.device: auto, cpu or cuda.")]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Set a key of the config, or of the recipe, such as recipe.jitter=0.2."
    ),
]
Imports = Annotated[
    list[str] | None,
    typer.Option(
        "--import", metavar="MODULE", help="network.imports: a module that registers blocks of your own; repeatable."
    ),
]

Name = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The run, a folder under runs/, that this is a stage of; without other options."),
]

SUPERNET, FOUND = "supernet", "found"
"""Folders of the two trainings."""


def pretrain_supernet(
    context: typer.Context,
    name: Name = None,
    images: Images = None,
    crops: Crops = False,
    config: Config = "scenes",
    width: Width = None,
    data: Data = None,
    out: Out = Path("runs/pretraining"),
    recipe: Recipe = None,
    passes: Passes = None,
    image_size: ImageSize = None,
    check: Check = True,
    seed: Seed = None,
    device: Device = None,
    devices: Devices = None,
    batch_size: BatchSize = None,
    precision: Precision = None,
    logger: Logger = None,
    changes: Changes = None,
    imports: Imports = None,
) -> None:
    """Train the backbone's supernet to classify images, as DetNAS does on ImageNet.

    With --name it is a stage of that run, whose config says on what and how.

    Else its weights, DIR/supernet/backbone.pt, are what train-supernet --init DIR starts from.
    """
    if name is not None:
        _require_alone(context, "name")
        run.pretrain_supernet(context, name)
        return
    with _resumable():
        given = _given(dict(locals()), None)
        from autopanoptic.panoptic.pretraining.stages import pretrain_supernet as stage

        found = stage(given.settings, given.images, out / SUPERNET, given.recipe, progress=True)
        _show(found, given.console)


def pretrain(
    context: typer.Context,
    name: Name = None,
    architecture: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|NAME",
            help="JSON file, a network's folder, coco_3.8g or ade_3.8g; of a run by default what its search has found.",
        ),
    ] = None,
    images: Images = None,
    crops: Crops = False,
    config: Config = "scenes",
    width: Width = None,
    data: Data = None,
    out: Out = Path("runs/pretraining"),
    recipe: Recipe = None,
    passes: Passes = None,
    image_size: ImageSize = None,
    check: Check = True,
    seed: Seed = None,
    device: Device = None,
    devices: Devices = None,
    batch_size: BatchSize = None,
    precision: Precision = None,
    logger: Logger = None,
    changes: Changes = None,
    imports: Imports = None,
) -> None:
    """Train the backbone of a found architecture to classify images, from scratch.

    With --name it is a stage of that run, whose config says on what and how.

    Else its weights, DIR/found/backbone.pt, are what retrain --architecture of the same one starts from by --init DIR.
    """
    if name is not None:
        _require_alone(context, "name", "architecture")
        run.pretrain(context, name, architecture)
        return
    if architecture is None:
        raise ValueError("give --name RUN, or the --architecture whose backbone is to be trained")
    with _resumable():
        from autopanoptic.panoptic.pretraining.sources import architecture_of

        wanted = architecture_of(architecture)
        given = _given(dict(locals()), wanted)
        from autopanoptic.panoptic.pretraining.stages import pretrain as stage

        found = stage(given.settings, wanted, given.images, out / FOUND, given.recipe, progress=True)
        _show(found, given.console)


@dataclass(frozen=True)
class _Given:
    """What a command line describes."""

    settings: Settings
    images: ImageClasses
    recipe: PretrainingRecipe
    console: Console


def _given(values: dict[str, Any], architecture: Architecture | None) -> _Given:
    """Read what a command line describes, and refuse what is wrong: what takes longest to find out comes last."""
    from autopanoptic.panoptic.configs.config import resolve
    from autopanoptic.panoptic.configs.layers import change
    from autopanoptic.panoptic.pretraining.sources import decode, images_of, recipe_of
    from autopanoptic.panoptic.pretraining.stages import backbone_config, check_backbone, check_bins
    from autopanoptic.panoptic.stages.checks import require_device, require_devices, require_logger, require_parts
    from autopanoptic.panoptic.training.record import RECORD

    images, supernet = values["images"], architecture is None
    if (images is None) != values["crops"]:
        raise ValueError(
            "give either --images DIR, or --crops to cut them from the config's own data, or --name RUN for a stage of "
            "a run"
        )
    changes = [(*change(text), f"--set {text}") for text in values["changes"] or ()]
    fields = {key.removeprefix("recipe."): value for key, value, _ in changes if key.startswith("recipe.")}
    fields |= {name: values[name] for name in ("passes", "image_size") if values[name] is not None}
    recipe = recipe_of(values["recipe"] or ("small" if images is None else "imagenet"), fields, supernet=supernet)
    settings = resolve(values["config"], [*_config(values), *(one for one in changes if not _of_recipe(one))])
    require_parts(settings)
    backbone_config(settings)
    require_device(settings)
    require_devices(settings, {"recipe.batch_size": recipe.batch_size})
    require_logger(settings)
    if architecture is not None:
        check_backbone(settings, architecture)
    console, folder = Console(), values["out"] / (SUPERNET if supernet else FOUND)
    found = images_of(settings, images, values["out"], console)
    if supernet:
        check_bins(settings, found, recipe)
    # Those of a pretraining that has begun were checked then, and crops were made here.
    if images is not None and values["check"] and not (folder / RECORD).exists():
        decode(found, console)
    return _Given(settings, found, recipe, console)


def _require_alone(context: typer.Context, *allowed: str) -> None:
    """Refuse options that the config of a run takes the place of."""
    given = [one for one in context.params if one not in allowed and is_given(context, one)]
    if given:
        raise ValueError(
            f"--name is of a run, whose config says on what and how it pretrains; leave out {flag_of(given[0])}, or "
            "take --out DIR for a pretraining of its own"
        )


def _of_recipe(change: Sequence[Any]) -> bool:
    return str(change[0]).startswith("recipe.")


def _config(values: dict[str, Any]) -> list[tuple[str, Any, str]]:
    machine = ("device", "devices", "batch_size", "precision", "logger")
    keys = {
        "width": "width", "data": "data.path", "seed": "seed", "imports": "network.imports",
        **{name: f"machine.{name}" for name in machine},
    }  # fmt: skip
    given = {name: value for name in keys if (value := values[name]) is not None and value != []}
    return [(keys[name], value, flag_of(name)) for name, value in given.items()]


@contextmanager
def _resumable() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("\nInterrupted. The same command goes on from the last checkpoint.")
        raise typer.Exit(130) from None


def _show(found: Pretrained, console: Console) -> None:
    for one in found.accuracies:
        path = "" if one.architecture is None else f"  path {one.architecture.id}"
        console.print(f"top-1 {one.top1:.1f}%, top-5 {one.top5:.1f}% on val{path}", markup=False, highlight=False)
    console.print(f"{found.classes} classes; weights: {found.backbone}", markup=False, highlight=False, soft_wrap=True)
