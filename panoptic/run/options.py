"""The options of the command line that describe a run; loads no torch."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from functools import wraps
from typing import Annotated, Any, NamedTuple

import typer


class Shorthand(NamedTuple):
    """An option that sets a key of the config.

    Attributes:
        key: The key.
        kind: Of the value.
        metavar: Of the value, as the help names it; empty for a switch.
        help: What the key means.
        panel: Part of the help under which it stands; None for the first.
    """

    key: str
    kind: type
    metavar: str
    help: str
    panel: str | None


SHORTHANDS = {
    "seed": Shorthand("seed", int, "N", "decides everything that is drawn.", None),
    "width": Shorthand("width", str, "NAME", "published backbone: 300m, 1.3g or 3.8g.", None),
    "model": Shorthand("network.model", str, "NAME", "auto-panoptic, panoptic-fpn, upsnet, sognet, bgrnet.", None),
    "space": Shorthand("search.space", str, "NAME", "auto-panoptic, elastic or published.", "Search"),
    "backbone": Shorthand(
        "network.backbone", str, "NAME|FILE", "search; or fixed: resnet50, efficientnet-lite0, a file.", "Search"
    ),
    "strategy": Shorthand("search.strategy", str, "NAME", "path-priority, evolution, nsga2, ...", "Search"),
    "trials": Shorthand("search.trials", int, "N", "candidates to evaluate.", "Search"),
    "objective": Shorthand("search.objective", str, "NAME", "to maximise on nas_val: pq, pq_things, ...", "Search"),
    "cost": Shorthand("search.cost", str, "NAME", "to minimise: gflops, latency_ms or null.", "Search"),
    "max_gflops": Shorthand("search.max_gflops", float, "X", "most of a retrained candidate, for one image.", "Search"),
    "racing": Shorthand("search.racing", bool, "", "give up candidates that fall behind.", "Stopping"),
    "recalibration_batches": Shorthand(
        "search.recalibration_batches", int, "N", "for a candidate's batch norms; 0: the supernet's.", "Search"
    ),
    "random_draws": Shorthand("search.random_draws", bool, "", "random draws beside the search.", "Comparison"),
    "hand_made": Shorthand("search.hand_made", bool, "", "train the network made by hand, too.", "Comparison"),
    "warm_start": Shorthand(
        "search.warm_start", str, "FILE", "journal or log of another search, to begin with its candidates.", "Search"
    ),
    "warmup_passes": Shorthand("warmup.passes", int, "N", "training of the supernet's first path.", "Training"),
    "largest_passes": Shorthand("largest.passes", int, "N", "training of the largest network, first.", "Training"),
    "supernet_passes": Shorthand("supernet.passes", int, "N", "training of the supernet.", "Training"),
    "retrain_passes": Shorthand("retrain.passes", int, "N", "training of each network compared.", "Training"),
    "supernet_init": Shorthand(
        "supernet_init", str, "START", "how the supernet starts: scratch, a file, run or folder.", "Training"
    ),
    "retrain_init": Shorthand(
        "init", str, "START", "how networks start: scratch, supernet, pretrained, a file, run or folder.", "Training"
    ),
    "image_size": Shorthand("data.short_side", int, "N", "of the resized images, in pixels.", "Data"),
    "orientation": Shorthand("data.orientation", str, "NAME", "apply or ignore an image's EXIF orientation.", "Data"),
    "device": Shorthand("machine.device", str, "NAME", "auto, cpu or cuda.", "Machine"),
    "devices": Shorthand("machine.devices", int, "N", "GPUs, or processes on a CPU, that train together.", "Machine"),
    "batch_size": Shorthand("machine.batch_size", int, "N", "images a device computes at a time.", "Machine"),
    "precision": Shorthand("machine.precision", str, "NAME", "32-true, or bf16-mixed on a GPU.", "Machine"),
    "logger": Shorthand("machine.logger", str, "NAME", "of trainings: csv or tensorboard.", "Machine"),
    "executor": Shorthand("machine.executor", str, "NAME", "of candidates: inline, processes or ray.", "Machine"),
    "workers": Shorthand("machine.workers", int, "N", "that evaluate candidates on a CPU or on Ray.", "Machine"),
    "threads": Shorthand("machine.threads", int, "N", "of a training on a CPU; the workers share as many.", "Machine"),
    "trainings": Shorthand("machine.trainings", int, "N", "threads over all compared networks on a CPU.", "Machine"),
}
"""The options that are shorthands, by their names."""

KEYS = {"data": "data.path", "imports": "network.imports", **{name: one.key for name, one in SHORTHANDS.items()}}
"""Options that are shorthands, and the keys of a config that they set."""

Config = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="YAML file, or the name of one that ships; by default scenes, or photographs with --data.",
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Set a key of the config, such as retrain.clip=null; may be repeated."
    ),
]
Quick = Annotated[
    bool, typer.Option("--quick", help="The config's quick form: every stage in a minute, badly trained.")
]

Data = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="data.path: in COCO panoptic format; without it scenes are generated."),
]

Imports = Annotated[
    list[str] | None,
    typer.Option(
        "--import",
        metavar="MODULE",
        help="network.imports: a module that registers parts of your own; may be repeated.",
    ),
]


def _declared(name: str, one: Shorthand, called: str | None = None) -> Any:
    """Return the type of an option, as typer reads it, under a flag of its own name or another one."""
    flag = name.replace("_", "-")
    flags = [f"--{flag}/--no-{flag}"] if one.kind is bool else [] if called is None else [called]
    option = typer.Option(*flags, metavar=one.metavar or None, help=f"{one.key}: {one.help}", rich_help_panel=one.panel)
    return Annotated[one.kind | None, option]


DESCRIBING: dict[str, Any] = {
    "config": Config,
    "changes": Changes,
    "quick": Quick,
    "data": Data,
    "imports": Imports,
    **{name: _declared(name, one) for name, one in SHORTHANDS.items()},
}
"""Every option that describes a run, as typer reads them."""


INIT = {"train_supernet": "supernet_init", "retrain": "retrain_init", "compare": "retrain_init"}
"""What ``--init`` stands for in the commands of one training."""


def flag_of(name: str, command: str | None = None) -> str:
    """Return what stands on the command line for an option that describes a run.

    Args:
        name: Of the option.
        command: In which it stands.
    """
    if INIT.get((command or "").replace("-", "_")) == name:
        return "--init"
    return "--" + {"changes": "set", "imports": "import"}.get(name, name.replace("_", "-"))


def described(command: Callable[..., None], names: Collection[str] | None = None) -> Callable[..., None]:
    """Give a command the options that describe a run; it gets what was given for them, by name, as ``values``.

    Args:
        command: With a parameter ``values``.
        names: Which of the options; None for all of them.
    """
    called = {name: kind for name, kind in DESCRIBING.items() if names is None or name in names}
    if (name := INIT.get(command.__name__)) in called and name is not None:
        called[name] = _declared(name, SHORTHANDS[name], flag_of(name, command.__name__))
    own = [one for one in inspect.signature(command, eval_str=True).parameters.values() if one.name != "values"]
    shared = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=False if kind is Quick else None
        )
        for name, kind in called.items()
    ]

    @wraps(command)
    def given(**found: Any) -> None:
        mine = {one.name: found.pop(one.name) for one in own}
        command(**mine, values=found)

    parameters = [*(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own), *shared]
    given.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    given.__annotations__ = {one.name: one.annotation for one in parameters}
    return given
