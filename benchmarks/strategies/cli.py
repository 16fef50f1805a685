"""Strategies on published tables of neural architectures: commands to measure, and one to report.

Finished runs are kept, so that an interrupted command goes on where it was.

Every command adds its contestants to the results that are there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.strategies import contestants, results, runner, speed, summary
from benchmarks.strategies.benchmark import Benchmark, console
from benchmarks.strategies.ours import Ours
from benchmarks.strategies.protocols import Budget, Front, UntilBest
from benchmarks.strategies.results import Results, command_of
from benchmarks.strategies.runner import Runner
from benchmarks.strategies.source import Source

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

TableFile = Annotated[Path | None, typer.Option("--table", help="an .npz file of a table")]
Graph = Annotated[str | None, typer.Option("--graph", help="a data set of nas-bench-graph, instead of a file")]
Merged = Annotated[bool, typer.Option("--merged", help="isomorphic cells of NAS-Bench-201 are one architecture")]
Names = Annotated[
    list[str] | None,
    typer.Option("--contestant", "-c", help="may be repeated, MODULE:CLASS for your own; all by default"),
]
Seeds = Annotated[int, typer.Option(min=1, help="runs of each contestant, of seeds from 0")]
Jobs = Annotated[int, typer.Option(min=1, help="processes")]
Fresh = Annotated[bool, typer.Option("--fresh", help="play runs again that are kept")]
ResultsFolder = Annotated[Path, typer.Option("--results", help="where results are written")]
RunsFolder = Annotated[Path, typer.Option("--runs", help="where finished runs are kept")]
Datasets = Annotated[list[str] | None, typer.Option("--dataset", help="may be repeated; all by default")]
Cap = Annotated[int, typer.Option(min=1, help="a run ends without success after so many evaluations")]
PeerCap = Annotated[
    int, typer.Option(min=1, help="the cap of Optuna's samplers, which take the longer the more there are")
]
Horizon = Annotated[
    int | None, typer.Option(min=1, help="the last evaluation of the regret curves; 1000 by default, or the cap's")
]
Measure = Annotated[str, typer.Option(help="what the search sees: test200, or test for NAS-Bench-Macro and --graph")]
Device = Annotated[str, typer.Option(help="whose latency counts")]


def _source(table: Path | None, graph: str | None = None, merged: bool = False) -> Source:
    try:
        return Source(table, graph, merged)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _horizon(given: int | None, cap: int) -> int:
    if given is not None and given > cap:
        raise typer.BadParameter(
            f"no run goes on to evaluation {given}: give a --horizon of at most the --cap, which is {cap}"
        )
    return min(1000, cap) if given is None else given


@app.command()
def budget(
    context: typer.Context,
    table: TableFile = None,
    contestant: Names = None,
    seeds: Seeds = 500,
    seconds: Annotated[float, typer.Option(help="simulated time of a search")] = 12_000.0,
    jobs: Jobs = 1,
    fresh: Fresh = False,
    results: ResultsFolder = results.FOLDER,
    runs: RunsFolder = runner.FOLDER,
) -> None:
    """Dong and Yang's protocol: search on CIFAR-10 by 12-epoch validation until the simulated time is spent."""
    source = _source(table)
    benchmark = Benchmark.of(context, Runner(source, seeds, runs, jobs, fresh), contestant, results)
    benchmark.run(Budget(seconds), summary.budget)


@app.command()
def queries(
    context: typer.Context,
    table: TableFile = None,
    graph: Graph = None,
    merged: Merged = False,
    contestant: Names = None,
    dataset: Datasets = None,
    measure: Measure = "test200",
    seeds: Seeds = 100,
    cap: Cap = 15_625,
    optuna_cap: PeerCap = 1000,
    horizon: Horizon = None,
    jobs: Jobs = 1,
    fresh: Fresh = False,
    results: ResultsFolder = results.FOLDER,
    runs: RunsFolder = runner.FOLDER,
) -> None:
    """Evaluations until the best architecture is found, and the regret on the way (anytime curves)."""
    source, last = _source(table, graph, merged), _horizon(horizon, cap)
    benchmark = Benchmark.of(context, Runner(source, seeds, runs, jobs, fresh), contestant, results)
    for name in dataset or benchmark.table.datasets(measure):
        whole, short = (UntilBest(f"{measure}/{name}", count) for count in (cap, min(cap, optuna_cap)))
        benchmark.run(whole, lambda found: summary.until_best_entry(found, last), short)


@app.command()
def bounded(
    context: typer.Context,
    table: TableFile = None,
    contestant: Names = None,
    dataset: Datasets = None,
    device: Device = "gold_6226",
    bound: Annotated[float, typer.Option(help="the largest latency allowed, milliseconds")] = 8.0,
    seeds: Seeds = 100,
    cap: Cap = 15_625,
    optuna_cap: PeerCap = 1000,
    horizon: Horizon = None,
    jobs: Jobs = 1,
    fresh: Fresh = False,
    results: ResultsFolder = results.FOLDER,
    runs: RunsFolder = runner.FOLDER,
) -> None:
    """Evaluations until the most accurate architecture under a bound on the latency is found."""
    source, last = _source(table), _horizon(horizon, cap)
    benchmark = Benchmark.of(context, Runner(source, seeds, runs, jobs, fresh), contestant, results)
    for name in dataset or benchmark.table.datasets("test200"):
        column, latency = f"test200/{name}", f"latency_ms/{device}"
        whole, short = (UntilBest(column, count, latency, bound) for count in (cap, min(cap, optuna_cap)))
        benchmark.run(whole, lambda found: summary.until_best_entry(found, last), short)


@app.command()
def front(
    context: typer.Context,
    table: TableFile = None,
    contestant: Names = None,
    dataset: Datasets = None,
    device: Device = "gold_6226",
    evaluations: Annotated[int, typer.Option(min=1, help="of each run")] = 500,
    seeds: Seeds = 100,
    jobs: Jobs = 1,
    fresh: Fresh = False,
    results: ResultsFolder = results.FOLDER,
    runs: RunsFolder = runner.FOLDER,
) -> None:
    """Accuracy against latency: the hypervolume of what has been evaluated."""
    source = _source(table)
    benchmark = Benchmark.of(context, Runner(source, seeds, runs, jobs, fresh), contestant, results)
    for name in dataset or benchmark.table.datasets("test200"):
        protocol = Front(f"test200/{name}", f"latency_ms/{device}", evaluations)
        counts = protocol.checkpoints()
        benchmark.run(protocol, lambda found, at=counts: summary.front(found, at))  # type: ignore[misc]


@app.command()
def propose(
    context: typer.Context,
    contestant: Names = None,
    choices: Annotated[int, typer.Option(min=1, help="of the space")] = 49,
    trials: Annotated[int, typer.Option(min=0, help="completed before the clock starts")] = 1000,
    proposals: Annotated[int, typer.Option(min=1, help="timed")] = 200,
    results: ResultsFolder = results.FOLDER,
) -> None:
    """Processor time of a strategy's proposal with many completed trials in a large space."""
    found = Results.of(results, "propose", None, command_of(context))
    ours = [name for name, who in contestants.CONTESTANTS.items() if isinstance(who, Ours)]
    for name in contestant or ours:
        try:
            who = contestants.contestant(name)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        if not isinstance(who, Ours):
            raise typer.BadParameter(f"{name} is not one of the library's strategies: {', '.join(ours)}.")
        speed.measure(found, name, who, choices, trials, proposals)


@app.command()
def report(
    results: ResultsFolder = results.FOLDER,
    docs: Annotated[Path, typer.Option(help="where benchmarks.md and its figures are written")] = Path("docs"),
) -> None:
    """Write the page of the documentation and its figures from the results."""
    from benchmarks.strategies.report import write

    try:
        page = write(results, docs)
    except FileNotFoundError as error:
        raise typer.BadParameter(str(error)) from error
    console.print(f"wrote {page}")
