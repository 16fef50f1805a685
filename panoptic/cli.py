"""The command line of the panoptic task."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from autopanoptic.nas.cli import EXPECTED

app = typer.Typer(help="Panoptic segmentation: the joint search of a whole network.", no_args_is_help=True)
RUNS = Path("runs")
WORKERS = 2
"""Fixed, because what some strategies propose depends on it; a run shall not depend on the machine."""


class PresetName(str, Enum):
    """Sizes of the network."""

    scenes = "scenes"
    coco = "coco"


class StrategyName(str, Enum):
    """Search strategies."""

    path_priority = "path-priority"
    evolution = "evolution"
    regularized_evolution = "regularized-evolution"
    random = "random"


class Device(str, Enum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class OrientationName(str, Enum):
    """What to do with the orientation that an image's EXIF states."""

    apply = "apply"
    ignore = "ignore"


@app.callback()
def _task() -> None:
    """Panoptic segmentation: the joint search of a whole network."""


@app.command()
def search(
    context: typer.Context,
    data: Annotated[
        Path | None, typer.Option(help="Folder in COCO panoptic format; generated scenes without it.")
    ] = None,
    preset: Annotated[PresetName, typer.Option(help="scenes: a small network, for a CPU. coco: the paper's.")] = (
        PresetName.scenes
    ),
    strategy: Annotated[StrategyName, typer.Option(help="How to search.")] = StrategyName.path_priority,
    trials: Annotated[int | None, typer.Option(min=2, help="Candidates to evaluate.")] = None,
    objective: Annotated[str, typer.Option(help="Metric on nas_val to maximise: pq, pq_things, pq_stuff, ...")] = "pq",
    max_flops: Annotated[
        float | None, typer.Option(help="Most GFLOPs of a candidate once it is retrained, for one image.")
    ] = None,
    warmup_passes: Annotated[int | None, typer.Option(min=1, help="Training of the supernet's first path.")] = None,
    supernet_passes: Annotated[int | None, typer.Option(min=1, help="Training of the supernet in fair cycles.")] = None,
    retrain_passes: Annotated[int | None, typer.Option(min=1, help="Training of each network compared.")] = None,
    image_size: Annotated[int | None, typer.Option(min=32, help="Short side of the resized images, in pixels.")] = None,
    recalibration_batches: Annotated[
        int | None, typer.Option(min=0, help="Batches for a candidate's batch-norm statistics; 0: the supernet's own.")
    ] = None,
    orientation: Annotated[
        OrientationName, typer.Option(help="Turn images by their EXIF orientation, or read them as they are stored.")
    ] = OrientationName.apply,
    device: Annotated[Device, typer.Option(help="auto takes a GPU where there is one.")] = Device.auto,
    precision: Annotated[str, typer.Option(help="32-true, or bf16-mixed on a GPU.")] = "32-true",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that evaluate candidates on a CPU.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of a training on a CPU, which the workers share.")] = 1,
    trainings: Annotated[
        int | None, typer.Option(min=1, help="Threads over all compared networks, which train side by side on a CPU.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    name: Annotated[str | None, typer.Option(help="Folder under runs/; the time by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with run --name, or with the latest.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="A minute's run that shows every stage, badly trained.")
    ] = False,
) -> None:
    """Search a panoptic network: train a supernet, search it, retrain the winner and compare."""
    console = Console()
    values = dict(locals())
    try:
        folder, settings = _resumed(context, name) if resume else _new(values)
        _run(settings, folder, console)
        if quick:
            console.print("A quick run shows the stages: its networks are badly trained, and the figures mean nothing.")
    except KeyboardInterrupt:
        typer.echo(f"\nInterrupted. To go on: {_command()} --resume --name {folder.name}")
        raise typer.Exit(130) from None
    except EXPECTED as error:
        if context.find_root().params.get("show_traceback"):
            raise
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error


def _run(settings: Any, folder: Path, console: Console) -> None:
    import torch

    from autopanoptic.panoptic.stages.pipeline import Pipeline

    torch.set_num_threads(settings.threads)
    console.print(f"Run {folder}, seed {settings.seed}", markup=False)
    Pipeline(settings, folder, console).run()


def _new(values: Mapping[str, Any]) -> tuple[Path, Any]:
    """Return the folder and the settings of a new run."""
    from autopanoptic.panoptic.data.coco.layout import find_splits
    from autopanoptic.panoptic.stages.settings import Settings

    data, quick = values["data"], values["quick"]
    if values["preset"] is PresetName.coco:
        if quick:
            raise ValueError("the coco preset has no quick form; leave out --quick, or leave out --preset coco")
        if data is not None:
            find_splits(data)  # so that a wrong folder leaves no run behind
        settings = Settings.for_coco(None if data is None else str(data))
    elif data is not None:
        settings = Settings.for_small_data(str(data), overfit=find_splits(data).overfit, quick=quick)
    else:
        settings = Settings.for_scenes(quick=quick)
    given = {
        "strategy": values["strategy"].value,
        "objective": values["objective"],
        "max_flops": values["max_flops"],
        "orientation": values["orientation"].value,
        "device": values["device"].value,
        "precision": values["precision"],
        "threads": values["threads"],
        "workers": values["workers"] or WORKERS,
        "trainings": values["trainings"] or settings.trainings,
        "seed": values["seed"],
        "trials": values["trials"] or settings.trials,
        "short_side": values["image_size"] or settings.short_side,
    }
    if values["recalibration_batches"] is not None:
        given["recalibration_batches"] = values["recalibration_batches"]
    settings = replace(settings, **given, **_recipes(settings, values))
    _check_machine(settings)
    return RUNS / (values["name"] or time.strftime("%Y%m%d-%H%M%S")), settings


def _check_machine(settings: Any) -> None:
    import torch

    if settings.device == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"this machine has no GPU that torch {torch.__version__} can use; leave out --device cuda")


def _recipes(settings: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for stage in ("warmup", "supernet", "retrain"):
        passes, recipe = values[f"{stage}_passes"], getattr(settings, stage)
        if passes is not None and recipe is None:
            raise ValueError(f"the {values['preset'].value} preset has no {stage} stage; leave out --{stage}-passes")
        if passes is not None:
            found[stage] = replace(recipe, passes=passes)
    return found


def _resumed(context: typer.Context, name: str | None) -> tuple[Path, Any]:
    """Return the folder and the settings of the run to go on with."""
    from autopanoptic.panoptic.stages.pipeline import SETTINGS
    from autopanoptic.panoptic.stages.settings import Settings

    given = [p for p in context.params if _is_given(context, p)]
    changed = sorted(set(given) - {"resume", "name"})
    if changed:
        raise ValueError(f"--resume keeps the run's own settings; leave out --{changed[0].replace('_', '-')}")
    if name is not None:
        return RUNS / name, Settings.load(RUNS / name / SETTINGS)
    known = sorted(RUNS.glob(f"*/{SETTINGS}"), key=lambda path: path.stat().st_mtime)
    if not known:
        raise FileNotFoundError(f"{RUNS} holds no run to go on with")
    return known[-1].parent, Settings.load(known[-1])


def _is_given(context: typer.Context, parameter: str) -> bool:
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "COMMANDLINE"


def _command() -> str:
    program = Path(sys.argv[0])
    return f"{sys.executable} {program}" if program.suffix == ".py" else f"{program.name} panoptic search"
