"""The command line: train the networks, and report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from autopanoptic.panoptic.configs.layers import ConfigError, change
from benchmarks.operators import report as pages
from benchmarks.operators import results
from benchmarks.operators.networks import NETWORKS
from benchmarks.operators.runner import run_all
from benchmarks.operators.table import table
from benchmarks.operators.training import Plan

FOLDER = Path("runs/operators")
FIXED = ("retrain.passes", "retrain.validate_every", "retrain.keep")
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

Passes = Annotated[int, typer.Option(min=1, help="of each training")]
Reads = Annotated[list[int] | None, typer.Option("--read", help="after so many passes; may be repeated")]
Seeds = Annotated[int, typer.Option(min=1, help="trainings of each network, of seeds from 0")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="key=value of the config, with --variant; may be repeated")
]
Variant = Annotated[str, typer.Option(help="name of the recipe that --set makes; its results are kept apart")]
Runs = Annotated[Path, typer.Option(help="where scenes and trainings are kept")]
Results = Annotated[Path, typer.Option(help="where results are written")]


@app.command()
def train(
    only: Annotated[list[str] | None, typer.Option("--only", help="a network; may be repeated; all by default")] = None,
    passes: Passes = 800,
    read: Reads = None,
    seeds: Seeds = 2,
    jobs: Annotated[int, typer.Option(min=1, help="trainings side by side, a thread each")] = 1,
    nice: Annotated[int, typer.Option(min=0, max=19, help="how far the trainings stand back")] = 0,
    variant: Variant = "",
    changes: Set = None,
    runs: Runs = FOLDER,
    to: Results = results.FOLDER,
) -> None:
    """Train the networks whose trainings have not ended, write the results and show them.

    Interrupted, the same command goes on.
    """
    unknown = [name for name in only or () if name not in NETWORKS]
    if unknown:
        raise typer.BadParameter(f"there is no network {unknown[0]!r}; choose among {', '.join(NETWORKS)}")
    plan = _plan(runs, passes, read, variant, changes)
    try:
        results.require_own(results.path_of(to, passes, variant), dict(plan.changes) or None)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    try:
        run_all(plan, [(name, seed) for name in only or NETWORKS for seed in range(seeds)], jobs, nice)
    except KeyboardInterrupt:
        typer.echo("Interrupted; the same command goes on.")
        raise typer.Exit(130) from None
    _summarise(plan, seeds, to)


@app.command()
def summarise(
    passes: Passes = 800,
    read: Reads = None,
    seeds: Seeds = 2,
    variant: Variant = "",
    changes: Set = None,
    runs: Runs = FOLDER,
    to: Results = results.FOLDER,
) -> None:
    """Write and show the results of the trainings that have ended; they may go on meanwhile."""
    _summarise(_plan(runs, passes, read, variant, changes), seeds, to)


@app.command()
def report(
    results: Results = results.FOLDER,
    docs: Annotated[Path, typer.Option(help="where the page goes")] = Path("docs"),
) -> None:
    """Write docs/operators.md from the results."""
    typer.echo(pages.write(results, docs))


def _plan(runs: Path, passes: int, read: list[int] | None, variant: str, changes: list[str] | None) -> Plan:
    reads = tuple(read) if read else tuple(sorted({passes // 4, passes // 2, passes}))
    if max(reads) != passes or min(reads) < 1:
        raise typer.BadParameter(f"reads {list(reads)} must lie in 1..{passes}, the passes, and end there")
    if bool(variant) != bool(changes):
        raise typer.BadParameter("--variant names the recipe that --set makes: give both, or none")
    fixed = [text for text in changes or [] if text.partition("=")[0].strip() in FIXED]
    if fixed:
        raise typer.BadParameter(f"--set {fixed[0]}: the trainings set this themselves, by --passes and --read")
    try:
        plan = Plan(runs, passes, reads, variant=variant, changes=dict(map(change, changes or [])))
        _ = plan.settings  # so that a wrong key is told before anything runs
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from error
    return plan


def _summarise(plan: Plan, seeds: int, to: Path) -> None:
    try:
        found = results.summarise(plan, range(seeds))
        results.write(found, to)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    Console().print(table(found))
