"""The command line of the panoptic task."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from autopanoptic.nas.cli import EXPECTED
from autopanoptic.panoptic.data.converters.cli import app as prepare_app
from autopanoptic.panoptic.pretraining import commands as pretraining
from autopanoptic.panoptic.report.command import report
from autopanoptic.panoptic.trained import commands

app = typer.Typer(help="Panoptic segmentation: the joint search of a whole network.", no_args_is_help=True)
config_app = typer.Typer(help="Configs: what a run is made of, as YAML.", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(prepare_app, name="prepare")
app.command()(commands.evaluate)
app.command()(commands.predict)
app.command()(pretraining.pretrain_supernet)
app.command()(pretraining.pretrain)
app.command()(report)

RUNS = Path("runs")

KEYS = {
    "data": "data.path",
    "orientation": "data.orientation",
    "image_size": "data.short_side",
    "space": "search.space",
    "strategy": "search.strategy",
    "trials": "search.trials",
    "objective": "search.objective",
    "cost": "search.cost",
    "max_gflops": "search.max_gflops",
    "racing": "search.racing",
    "recalibration_batches": "search.recalibration_batches",
    "warmup_passes": "warmup.passes",
    "largest_passes": "largest.passes",
    "supernet_passes": "supernet.passes",
    "retrain_passes": "retrain.passes",
    "init": "init",
    "device": "machine.device",
    "precision": "machine.precision",
    "workers": "machine.workers",
    "threads": "machine.threads",
    "trainings": "machine.trainings",
    "seed": "seed",
}
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


@app.callback()
def _task() -> None:
    """Panoptic segmentation: the joint search of a whole network."""


@app.command()
def search(
    context: typer.Context,
    config: Config = None,
    changes: Changes = None,
    quick: Quick = False,
    data: Data = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Folder under runs/; the time by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with run --name, or with the latest.")] = False,
    seed: Annotated[int | None, typer.Option(metavar="N", help="seed: decides everything that is drawn.")] = None,
    space: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="search.space: auto-panoptic or elastic.", rich_help_panel="Search"),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="search.strategy: path-priority, evolution, nsga2, ...", rich_help_panel="Search"
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(metavar="N", help="search.trials: candidates to evaluate.", rich_help_panel="Search")
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="search.objective: to maximise on nas_val: pq, pq_things, ...",
            rich_help_panel="Search",
        ),
    ] = None,
    cost: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="search.cost: to minimise: gflops, latency_ms or null.", rich_help_panel="Search"
        ),
    ] = None,
    max_gflops: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="search.max_gflops: most of a retrained candidate, for one image.",
            rich_help_panel="Search",
        ),
    ] = None,
    racing: Annotated[
        bool | None,
        typer.Option(
            "--racing/--no-racing",
            help="search.racing: give up candidates that fall behind.",
            rich_help_panel="Stopping",
        ),
    ] = None,
    recalibration_batches: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="search.recalibration_batches: for a candidate's batch norms; 0: the supernet's.",
            rich_help_panel="Search",
        ),
    ] = None,
    warmup_passes: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="warmup.passes: training of the supernet's first path.", rich_help_panel="Training"
        ),
    ] = None,
    largest_passes: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="largest.passes: training of the largest network, first.", rich_help_panel="Training"
        ),
    ] = None,
    supernet_passes: Annotated[
        int | None,
        typer.Option(metavar="N", help="supernet.passes: training of the supernet.", rich_help_panel="Training"),
    ] = None,
    retrain_passes: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="retrain.passes: training of each network compared.", rich_help_panel="Training"
        ),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            metavar="START", help="init: how those start: scratch, supernet or a file.", rich_help_panel="Training"
        ),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(metavar="N", help="data.short_side: of the resized images, in pixels.", rich_help_panel="Data"),
    ] = None,
    orientation: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="data.orientation: apply or ignore an image's EXIF orientation.",
            rich_help_panel="Data",
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="machine.device: auto, cpu or cuda.", rich_help_panel="Machine")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="machine.precision: 32-true, or bf16-mixed on a GPU.", rich_help_panel="Machine"
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="machine.workers: processes that evaluate candidates on a CPU.",
            rich_help_panel="Machine",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="machine.threads: of a training on a CPU; the workers share as many.",
            rich_help_panel="Machine",
        ),
    ] = None,
    trainings: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="machine.trainings: threads over all compared networks on a CPU.",
            rich_help_panel="Machine",
        ),
    ] = None,
) -> None:
    """Search a panoptic network: train a supernet, search it, retrain the winner and compare.

    A run is described by a config; most options are shorthands for a key, which their help names.

    `autopanoptic panoptic config show --explain` prints all keys, `... config list` the configs that ship.
    """
    console = Console()
    values = dict(locals())
    folder: Path | None = None
    try:
        folder, settings = _resumed(context, name) if resume else _new(values)
        _run(settings, folder, console)
        if quick:
            console.print("A quick run shows the stages: its networks are badly trained, and the figures mean nothing.")
    except KeyboardInterrupt:
        how = "" if folder is None or not folder.exists() else f" To go on: {_command()} --resume --name {folder.name}"
        typer.echo(f"\nInterrupted.{how}")
        raise typer.Exit(130) from None
    except EXPECTED as error:
        _fail(context, error)


@config_app.command()
def show(
    context: typer.Context,
    section: Annotated[str | None, typer.Argument(help="Show this key alone, such as search or data.scenes.")] = None,
    config: Config = None,
    changes: Changes = None,
    quick: Quick = False,
    data: Data = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say above each key what it means.")] = False,
) -> None:
    """Print every key of a config with its value, as YAML that --config reads."""
    from autopanoptic.panoptic.configs.text import text_of

    try:
        settings = _settings({"config": config, "changes": changes, "quick": quick, "data": data})
        typer.echo(text_of(settings, section, explain=explain), nl=False)
    except EXPECTED as error:
        _fail(context, error)


@config_app.command("list")
def list_configs() -> None:
    """Print the configs that ship, and what they are for."""
    from autopanoptic.panoptic.configs.layers import shipped
    from autopanoptic.panoptic.configs.text import title_of

    width = max(map(len, shipped()))
    for name in shipped():
        typer.echo(f"{name:{width}}  {title_of(name)}")


def _fail(context: typer.Context, error: BaseException) -> None:
    """End with an error as plain lines, or with where it came from if that was asked for."""
    if isinstance(error, BrokenPipeError):
        raise error  # its reader has seen enough, as `| head` has
    if context.find_root().params.get("show_traceback"):
        raise error
    typer.echo(f"Error: {error}", err=True)
    raise typer.Exit(1) from error


def _run(settings: Any, folder: Path, console: Console) -> None:
    import torch

    from autopanoptic.panoptic.stages.pipeline import Pipeline

    torch.set_num_threads(settings.machine.threads)
    console.print(f"Run {folder}, seed {settings.seed}", markup=False)
    Pipeline(settings, folder, console).run()


def _settings(values: Mapping[str, Any]) -> Any:
    """Return the settings that the command line describes."""
    from autopanoptic.panoptic.configs.config import resolve
    from autopanoptic.panoptic.configs.layers import change

    given = [
        (key, None if values[name] == "null" else values[name], f"--{name.replace('_', '-')}")
        for name, key in KEYS.items()
        if values.get(name) is not None
    ]
    given += [(*change(text), f"--set {text}") for text in values["changes"] or ()]
    config = _default_config(given) if values["config"] is None else values["config"]
    return resolve(config, given, quick=values["quick"])


def _default_config(given: list[tuple[str, Any, str]]) -> str:
    """Return the config for the data where none is named."""
    from autopanoptic.panoptic.configs.layers import layer_of_changes

    data = layer_of_changes(given).values.get("data")
    path = data.get("path") if isinstance(data, Mapping) else None
    # What is no path is refused with the rest of the config.
    if not isinstance(path, str) or not path.strip():
        return "scenes"
    from autopanoptic.panoptic.data.coco.layout import find_splits

    return "memorise" if find_splits(path).overfit else "photographs"


def _new(values: Mapping[str, Any]) -> tuple[Path, Any]:
    """Return the folder and the settings of a new run, after all checks that need no work."""
    from autopanoptic.panoptic.stages.checks import check_settings

    name = time.strftime("%Y%m%d-%H%M%S") if values["name"] is None else values["name"]
    folder, settings = _folder(name), _settings(values)
    check_settings(settings)
    return folder, settings


def _folder(name: str) -> Path:
    """Return the folder of a run by its name."""
    if not name.strip() or name == ".." or Path(name).name != name:
        raise ValueError(f"--name must be that of a folder under {RUNS}, not {name!r}")
    return RUNS / name


def _resumed(context: typer.Context, name: str | None) -> tuple[Path, Any]:
    """Return the folder and the settings of the run to go on with."""
    from autopanoptic.panoptic.stages.pipeline import SETTINGS, load_run

    given = [parameter for parameter in context.params if _is_given(context, parameter)]
    changed = sorted(set(given) - {"resume", "name"})
    if changed:
        option = "set" if changed[0] == "changes" else changed[0].replace("_", "-")
        raise ValueError(f"--resume keeps the run's own settings; leave out --{option}")
    if name is not None:
        return _folder(name), load_run(_folder(name))
    known = sorted(RUNS.glob(f"*/{SETTINGS}"), key=lambda path: path.stat().st_mtime)
    if not known:
        raise FileNotFoundError(f"{RUNS} holds no run to go on with")
    return known[-1].parent, load_run(known[-1].parent)


def _is_given(context: typer.Context, parameter: str) -> bool:
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "COMMANDLINE"


def _command() -> str:
    program = Path(sys.argv[0])
    return f"{sys.executable} {program}" if program.suffix == ".py" else f"{program.name} panoptic search"
