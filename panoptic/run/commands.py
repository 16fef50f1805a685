"""The commands of a run and of its stages; loads no torch before they run."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from autopanoptic.nas.cli import EXPECTED
from autopanoptic.nas.interruption import terminated_as_interrupted
from autopanoptic.panoptic.run.choice import (
    new_run,
    options_given,
    other_run,
    resumed_run,
    run_of_stage,
    searching_again,
)
from autopanoptic.panoptic.run.joining import join
from autopanoptic.panoptic.run.options import described, flag_of

if TYPE_CHECKING:
    from autopanoptic.panoptic.run.folder import Run
    from autopanoptic.panoptic.settings.settings import Settings

PROGRAM = "autopanoptic panoptic"

New = Annotated[str | None, typer.Option(metavar="NAME", help="Folder under runs/; the time by default.")]
Known = Annotated[
    str | None, typer.Option(metavar="NAME", help="The run, a folder under runs/; by default the latest.")
]


@described
def run(
    context: typer.Context,
    values: Mapping[str, Any],
    name: New = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with run --name, or with the latest.")] = False,
    supernet_from: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Search the trained supernet of that run, by its config but for what is given here.",
            rich_help_panel="Search",
        ),
    ] = None,
) -> None:
    """Search a panoptic network: train a supernet, search it, retrain the winner, compare, and write a report.

    With a pretraining in its config, backbones learn to classify images first.

    A run is described by a config; most options are shorthands for a key, which their help names.

    `autopanoptic panoptic config show --explain` prints all keys, `... config list` the configs that ship.
    """
    console = Console()
    with telling(context, f"{_command()} --resume") as told:
        other = None if supernet_from is None else other_run(supernet_from, resume=resume)
        chosen = values if other is None else searching_again(other, values)
        told.folder, settings = resumed_run(context, name) if resume else new_run(name, chosen)
        _begin(settings, told.folder, console)
        from autopanoptic.panoptic.run.taking import origin_of, take_supernet
        from autopanoptic.panoptic.stages.pipeline import Pipeline

        pipeline = Pipeline(settings, told.folder, console)
        if (other := other or origin_of(told.folder)) is not None:
            take_supernet(pipeline, other)
        pipeline.run()
        from autopanoptic.panoptic.report.report import write_report

        page = write_report(told.folder, device=settings.machine.device, console=console)
        console.print(f"Report: {page}", markup=False, highlight=False, soft_wrap=True)
        if values["quick"]:
            console.print("A quick run shows the stages: its networks are badly trained, and the figures mean nothing.")
        elif settings.search.cost == "gflops":
            _say_other_budget(told.folder.name, console)


@described
def prepare(context: typer.Context, values: Mapping[str, Any], name: New = None) -> None:
    """Prepare the data of a run, or convert a data set (prepare coco, ade20k, ...).

    The data are generated or opened, and checked with the settings.

    The run is a new one by the options that describe it, or that of --name with its own settings.

    The commands below are no stage: they make folders that --data reads, of data sets as they are distributed and of
    your own. Interrupted, each goes on where it was when it is given again.
    """
    if context.invoked_subcommand is not None:
        _require_no_run(context, name)
        return
    with _stage(context, "prepare", name, values, first=True) as run:
        from autopanoptic.panoptic.run.prepare import prepare

        prepare(run)
        first = "train-supernet" if run.settings.pretraining.supernet is None else "pretrain-supernet"
        _say_next(run, f"{first} --name {quote(run.folder.name)}")


def pretrain_supernet(context: typer.Context, name: str) -> None:
    """Pretrain the backbone of a run's supernet."""
    with _stage(context, "pretrain-supernet", name, {}) as run:
        from autopanoptic.panoptic.run.pretrain import pretrain_supernet

        pretrain_supernet(run)
        _say_next(run, f"train-supernet --name {quote(run.folder.name)}")


@described
def train_supernet(context: typer.Context, values: Mapping[str, Any], name: Known = None) -> None:
    """Train the supernet of a run; its data are prepared first.

    The run is that of --name, or the latest. Options that describe a run make a new one, or must be its own.
    """
    with _stage(context, "train-supernet", name, values) as run:
        from autopanoptic.panoptic.run.train_supernet import train_supernet

        train_supernet(run)
        _say_next(run, f"search --name {quote(run.folder.name)}")


def search(context: typer.Context, name: Known = None) -> None:
    """Search the trained supernet of a run, and nothing beside it.

    The run is that of --name, or the latest. `run` goes on from there: it compares the search with random draws.
    """
    with _stage(context, "search", name, {}) as run:
        from autopanoptic.panoptic.run.search import search

        search(run)
        following = "pretrain" if run.settings.init == "pretrained" else "retrain"
        _say_next(run, f"{following} --name {quote(run.folder.name)}")


def pretrain(context: typer.Context, name: str, architecture: str | None) -> None:
    """Pretrain the backbones of what a run's search has found, or that of any architecture."""
    with _stage(context, "pretrain", name, {}, own=[("architecture", architecture)]) as run:
        from autopanoptic.panoptic.pretraining.sources import architecture_of
        from autopanoptic.panoptic.run.pretrain import pretrain

        pretrain(run, None if architecture is None else architecture_of(architecture))
        own = "" if architecture is None else f" --architecture {quote(architecture)}"
        _say_next(run, f"retrain --name {quote(run.folder.name)}{own}")


@described
def retrain(
    context: typer.Context,
    values: Mapping[str, Any],
    name: Known = None,
    architecture: Annotated[
        str | None,
        typer.Option(metavar="FILE|NAME", help="A JSON file, coco_3.8g or ade_3.8g; else the run's answer."),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Folder of that network under networks/; by default named as the file."),
    ] = None,
) -> None:
    """Train what the search of a run has found, or any architecture, by the run's recipe.

    The run is that of --name, or the latest. Options that describe a run make a new one, or must be its own.
    Without --architecture the finalists of the search are trained, and the best of them is `searched`; where nothing is
    searched, because the parts of --model and its --backbone are fixed, that network is trained, named as its model.
    With it --init is that network's own, such as the folder of `pretrain` of the same architecture.
    """
    from autopanoptic.panoptic.run import retrain as stage

    with telling(context, ""):  # before a new run has a folder
        # Beside a run's own networks it may start from what the run does not, such as its own pretrained backbone.
        start: str | None = values["retrain_init"] if architecture is not None else None
        apart = () if start is None else ("retrain_init",)
        _, settings = run_of_stage(context, name, values, first=False, apart=apart)
        given = None if architecture is None else stage.read_architecture(architecture, settings.network)
        stem, chosen = given or stage.fixed_network(settings) or (None, None)
        if chosen is None and network is not None:
            raise ValueError("--network names the network of --architecture; the answer of the run is called searched")
    own = [("architecture", architecture), ("network", network), ("init", start)]
    with _stage(context, "retrain", name, values, own=own, apart=apart) as run:
        if start is not None:
            run.start_from(start)
        stage.retrain(run, chosen, network or stem)
        trained = network or stem or "searched"
        run.say(f"Written to {run.folder / 'networks' / trained}")
        _say_next(run, f"evaluate {quote(run.folder.name)} --network {quote(trained)}")


def _require_no_run(context: typer.Context, name: str | None) -> None:
    """Refuse the options of a run for the conversion of a data set, which is of none."""
    given = [*options_given(context), *(["name"] if name is not None else [])]
    if given:
        flag = flag_of(given[0])
        fail(context, ValueError(f"prepare {context.invoked_subcommand} is of no run; leave out {flag} before it"))


class _Told:
    """What an interrupted command has to tell.

    Attributes:
        folder: Of the run, once it is known.
    """

    folder: Path | None = None


@contextmanager
def telling(context: typer.Context, command: str) -> Iterator[_Told]:
    """End with an interruption by how to go on, and with an error by what it says.

    Args:
        context: Of the command.
        command: That goes on, but for ``--name``.
    """
    told = _Told()
    try:
        with terminated_as_interrupted():
            join(context)
            yield told
    except KeyboardInterrupt:
        known = told.folder is not None and told.folder.exists()
        how = f" To go on: {command} --name {quote(told.folder.name)}" if known and told.folder is not None else ""
        typer.echo(f"\nInterrupted.{how}")
        raise typer.Exit(130) from None
    except EXPECTED as error:
        fail(context, error)


@contextmanager
def _stage(
    context: typer.Context,
    command: str,
    name: str | None,
    values: Mapping[str, Any],
    *,
    first: bool = False,
    own: list[tuple[str, str | None]] | None = None,
    apart: tuple[str, ...] = (),
) -> Iterator[Run]:
    """Open the run that a stage is of."""
    options = "".join(f" --{option} {quote(value)}" for option, value in own or () if value is not None)
    with telling(context, f"{PROGRAM} {command}{options}") as told:
        told.folder, settings = run_of_stage(context, name, values, first=first, apart=apart)
        console = Console()
        _begin(settings, told.folder, console)
        from autopanoptic.panoptic.run.folder import Run

        yield Run(settings, told.folder, console)


def _begin(settings: Settings, folder: Path, console: Console) -> None:
    import torch

    torch.set_num_threads(settings.machine.threads)
    console.print(f"Run {folder}, seed {settings.seed}", markup=False)


def _say_other_budget(name: str, console: Console) -> None:
    """Say how the supernet of a run serves another budget."""
    console.print("The same supernet searched for another budget, of so many GFLOPs:")
    line = f"{_command()} --supernet-from {quote(name)} --max-gflops X"
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _say_next(run: Run, command: str) -> None:
    run.console.print(f"Next: {PROGRAM} {command}", markup=False, highlight=False, soft_wrap=True)


def fail(context: typer.Context, error: BaseException) -> None:
    """End with an error as plain lines, or with where it came from if that was asked for."""
    if isinstance(error, BrokenPipeError):
        raise error  # its reader has seen enough, as `| head` has
    if context.find_root().params.get("show_traceback"):
        raise error
    typer.echo(f"Error: {error}", err=True)
    raise typer.Exit(1) from error


def _command() -> str:
    program = Path(sys.argv[0])
    return (
        f"{quote(sys.executable)} {quote(str(program))}" if program.suffix == ".py" else f"{program.name} panoptic run"
    )
