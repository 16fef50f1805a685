"""The command that compares networks; loads no torch before it runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from autopanoptic.panoptic.results.json_files import write_object
from autopanoptic.panoptic.run.choice import folder_of, is_given, layers_of, options_given
from autopanoptic.panoptic.run.commands import PROGRAM, telling
from autopanoptic.panoptic.run.options import flag_of
from autopanoptic.panoptic.trained.commands import require_writable

OPTIONS = (
    "config", "changes", "quick", "data", "imports", "seed", "width", "backbone", "retrain_passes", "retrain_init",
    "image_size", "orientation", "device", "devices", "batch_size", "precision", "logger", "threads",
)  # fmt: skip
"""Those that describe a run and, here, the data and the trainings of a comparison."""
OF_PLAN = ("models", "seeds")
"""What describes a comparison beside them."""
MODELS = "panoptic-fpn,upsnet,sognet,bgrnet,auto-panoptic"


def compare(
    context: typer.Context,
    values: Mapping[str, Any],
    models: Annotated[
        str,
        typer.Option(
            metavar="NAME,...",
            help="Models, hand-made, hand-made@NAME, hand-made@GFLOPS, architecture files, runs; or LABEL=RUN.",
        ),
    ] = MODELS,
    seeds: Annotated[int, typer.Option(metavar="N", help="Trainings of each network, of seeds from --seed on.")] = 3,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Folder under runs/; the time by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with comparison --name, or with the latest.")] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Train nothing: tell what comparison --name, or the latest, has so far.")
    ] = False,
    against: Annotated[
        str | None, typer.Option(metavar="NAME", help="Compare the others with this network; by default the best.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Trainings at a time on a CPU, by default one for each core; a GPU has machine.per_gpu."
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write everything that was found there, too.")
    ] = None,
) -> None:
    """Train several networks equally, with several seeds, and print one table of them.

    Data, passes, schedule and first weights are by one rule for all, that of the config. A model is the network made
    by hand of its parts, in the config's fixed widths; a run is the network that it has searched.

    Each finished training is a row at once, in rows.jsonl. The same command with its --name, or --resume, goes on after
    an interruption; it may then have more models and more seeds.
    """
    console = Console()
    with telling(context, f"{PROGRAM} compare --resume") as told:
        if json_file is not None:
            require_writable(json_file)
        if resume or show:
            _require_own(context, "--show" if show else "--resume")
        from autopanoptic.panoptic.compare import making
        from autopanoptic.panoptic.compare.tables import notes_of, tables_of

        if resume or show:
            told.folder = making.known_comparison(name)
            made = making.opened(told.folder, workers, console)
        else:
            told.folder = folder_of(time.strftime("%Y%m%d-%H%M%S") if name is None else name)
            config, changes = layers_of(values, context.info_name)
            source = making.source_of(config, changes, quick=values["quick"])
            made = making.made(models.split(","), source, seeds, told.folder, workers, console)
        found = made.summarised(against) if show else made.compared(against, console)
        for table in tables_of(found):
            console.print(table)
        for note in notes_of(found):
            console.print(note, markup=False, highlight=False)
        console.print(f"Everything: {told.folder}", markup=False, highlight=False, soft_wrap=True)
        if json_file is not None:
            write_object(json_file, found.to_json())


def _require_own(context: typer.Context, flag: str) -> None:
    """Refuse what would describe another comparison than the one that is there."""
    given = [*options_given(context), *(one for one in OF_PLAN if is_given(context, one))]
    if given:
        raise ValueError(
            f"{flag} keeps the comparison's own settings; leave out {flag_of(given[0], context.info_name)}"
        )
