"""The command line of the study: run it, take in finished runs, and write the page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from autopanoptic.nas.interruption import terminated_as_interrupted
from benchmarks.search_worth import page as pages
from benchmarks.search_worth import plan, rows, study
from benchmarks.search_worth.parts import shipped

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

Results = Annotated[Path | None, typer.Option(help="where rows are written; with --smoke under --runs")]
Runs = Annotated[Path | None, typer.Option(help="where data, supernets and trainings are kept")]
Smoke = Annotated[bool, typer.Option("--smoke", help="every part in minutes, of networks that hardly learn")]
SMOKE = Path("runs/search_worth_smoke")


@app.command()
def run(
    part: Annotated[list[str] | None, typer.Option(help="may be repeated; all by default")] = None,
    seeds: Annotated[
        str,
        typer.Option(help="such as 0-7 or 0,2: of the comparisons with whole runs; from 8 on the config as it ships"),
    ] = "0-15",
    hours: Annotated[float | None, typer.Option(min=0, help="after which nothing new begins")] = None,
    camvid: Annotated[
        Path | None, typer.Option(help="CamVid in COCO panoptic format, for the rows of real images")
    ] = None,
    smoke: Smoke = False,
    results: Results = None,
    runs: Runs = None,
) -> None:
    """Make the rows that are missing, those first that most depends on; interrupted, the same command goes on."""
    unknown = [one for one in part or () if one not in plan.PARTS]
    if unknown:
        raise typer.BadParameter(f"there is no part {unknown[0]!r}; choose among {', '.join(plan.PARTS)}")
    whole = _study(smoke, runs, seeds, camvid)
    console = Console()
    try:
        with terminated_as_interrupted():
            done = plan.run(whole, rows.Rows(_results(smoke, runs, results)), console, part, hours)
    except KeyboardInterrupt:
        typer.echo("Interrupted; the same command goes on.")
        raise typer.Exit(130) from None
    typer.echo("All rows are there." if done else "The time is over; the same command goes on.")


@app.command()
def adopt(
    folders: Annotated[list[Path], typer.Argument(help="finished runs of make search")],
    results: Results = None,
    runs: Runs = None,
) -> None:
    """Take in finished runs of the config as it ships, with seeds 8 to 15, as rows of the part worth."""
    for folder in folders:
        try:
            name = shipped.adopt(_study(False, runs), folder, rows.Rows(_results(False, runs, results)))
        except (FileNotFoundError, ValueError) as error:
            raise typer.BadParameter(str(error)) from error
        typer.echo(f"{folder} is {name}")


@app.command()
def page(
    smoke: Smoke = False,
    results: Results = None,
    runs: Runs = None,
    docs: Annotated[Path, typer.Option(help="where search_worth.md is written")] = Path("docs"),
) -> None:
    """Write the page of the documentation from the rows that are there."""
    typer.echo(pages.write(_study(smoke, runs), rows.Rows(_results(smoke, runs, results)), docs))


def seeds_of(text: str) -> tuple[int, ...]:
    """Read seeds, such as ``0-7`` or ``0,2,5-6``.

    Raises:
        ValueError: If they are none.
    """
    found: list[int] = []
    for one in text.split(","):
        first, _, last = one.partition("-")
        if not first.isdecimal() or not (last or first).isdecimal():
            raise ValueError(f"seeds are written as 0-7 or 0,2,5-6, not {text!r}")
        found += range(int(first), int(last or first) + 1)
    return tuple(dict.fromkeys(found))


def _study(smoke: bool, runs: Path | None, seeds: str | None = None, camvid: Path | None = None) -> study.Study:
    if smoke:
        return study.smoke(runs or SMOKE)
    try:
        chosen = study.Study.seeds if seeds is None else seeds_of(seeds)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    return study.Study(runs or study.RUNS, seeds=chosen, camvid=None if camvid is None else study.camvid(camvid))


def _results(smoke: bool, runs: Path | None, results: Path | None) -> Path:
    if results is not None:
        return results
    return (runs or SMOKE) / "results" if smoke else rows.FOLDER
