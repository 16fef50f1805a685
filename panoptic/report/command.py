"""The command that writes a run's report; loads no torch before it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from autopanoptic.panoptic.trained.commands import Device, folder_of


def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run, by its name under runs/ or its folder.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The page; by default report.html in the run's folder.", show_default=False),
    ] = None,
    images: Annotated[
        int, typer.Option(metavar="N", help="So many of the best and of the worst images of val; 0 for none.")
    ] = 3,
    device: Device = "auto",
) -> None:
    """Write what a run has found as one HTML page, with all pictures in it.

    The page needs no server and no network, and can be sent as it is. A run that is not finished has one, too.
    """
    from autopanoptic.panoptic.report.report import write_report

    console = Console()
    path = write_report(folder_of(run), out, images=images, device=device, console=console)
    size = path.stat().st_size / 1e6
    console.print(f"Report: {path} ({size:.1f} MB)", markup=False, highlight=False, soft_wrap=True)
