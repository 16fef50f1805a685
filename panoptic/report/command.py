"""The commands that write a run's report and read another's search log; load no torch before they run."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from autopanoptic.panoptic.results.given import COMPARISON
from autopanoptic.panoptic.trained.commands import Device, folder_of


class Format(str, Enum):
    """What a report is written as."""

    HTML = "html"
    REFERENCE = "reference"


def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run, by its name under runs/ or its folder.")],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="The page, by default report.html in the run's folder; of reference a folder, by default reference/.",
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        Format,
        typer.Option(metavar="NAME", help="html, or reference: log and results as Auto-Panoptic's code has them."),
    ] = Format.HTML,
    images: Annotated[
        int, typer.Option(metavar="N", help="So many of the best and of the worst images of val; 0 for none.")
    ] = 3,
    device: Device = "auto",
) -> None:
    """Write what a run has found as one HTML page, with all pictures in it.

    The page needs no server and no network, and can be sent as it is. A run that is not finished has one, too, and so
    has a comparison (compare), in which --images means nothing.

    --format reference writes the search's log, final_test_log.json, and what it has found, model_0 and so on.
    """
    if (folder_of(run) / COMPARISON).is_file():
        if format is Format.REFERENCE:
            raise ValueError(f"{folder_of(run)} is a comparison, in which nothing is searched: it has no search log")
        from autopanoptic.panoptic.compare.page import write_page

        page = write_page(folder_of(run), out)
        Console().print(f"Report: {page}", markup=False, highlight=False, soft_wrap=True)
        return
    if format is Format.REFERENCE:
        from autopanoptic.panoptic.report.reference import write_reference

        folder = write_reference(folder_of(run), out)
        Console().print(f"Files of Auto-Panoptic's code: {folder}", markup=False, highlight=False, soft_wrap=True)
        return
    from autopanoptic.panoptic.report.report import write_report

    console = Console()
    path = write_report(folder_of(run), out, images=images, device=device, console=console)
    size = path.stat().st_size / 1e6
    console.print(f"Report: {path} ({size:.1f} MB)", markup=False, highlight=False, soft_wrap=True)


def import_log(
    log: Annotated[Path, typer.Argument(metavar="LOG", help="final_test_log.json or cache_test_log.json.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The journal to write.")] = Path("reference.jsonl"),
    config: Annotated[
        str, typer.Option(metavar="FILE", help="YAML file, or the name of one that ships: the network searched.")
    ] = "coco",
    width: Annotated[
        str | None, typer.Option(metavar="NAME", help="width: of a published backbone, 300m, 1.3g or 3.8g.")
    ] = None,
) -> None:
    """Write a search log of Auto-Panoptic's code as a journal, which autopanoptic show reads.

    A run begins with such candidates by --warm-start, which reads the log itself as well.
    """
    from autopanoptic.panoptic.configs.config import load_config
    from autopanoptic.panoptic.search.reference_logs import log_to_journal

    network = load_config(config, {} if width is None else {"width": width}).network
    try:
        found = log_to_journal(log, out, network)
    except ValueError as error:
        raise ValueError(f"{error}. The network searched is that of --config and --width, here {config}") from error
    best = found.best
    console = Console()
    console.print(
        f"{len(found.history)} candidates, the best of PQ {best.metrics['pq']:.1f} ({best.architecture.id}): {out}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
