"""A search's result on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from autopanoptic.nas.results.result import Result
from autopanoptic.nas.trials.trial import Trial

ENDINGS = {
    "trials": "as many as were asked for",
    "seconds": "the time was up",
    "strategy": "the strategy has nothing more to propose",
    None: "running or interrupted",
}


def print_report(result: Result, title: object, *, top: int = 10, options: bool = True) -> None:
    """Print the counts of a search, its best trials, its Pareto front and the options of the best.

    Args:
        result: what to print.
        title: stands above it.
        top: how many of the best trials.
        options: whether to print the options.
    """
    console = Console()
    console.print(f"[bold]{escape(str(title))}[/]")
    console.print(escape(_summary(result)))
    best = result.history.ranked()[:top]
    if not best:
        return
    console.print(_trials(result, best, f"Best {len(best)} trials"))
    if len(result.history.objectives) > 1:
        front = result.pareto()
        console.print(_trials(result, front, f"Pareto front, {len(front)} trials"))
    if options:
        console.print(_options(result, len(best)))


def _summary(result: Result) -> str:
    states = Counter(trial.state.value for trial in result.history)
    counts = ", ".join(f"{states[state]} {state}" for state in ("completed", "failed", "stopped", "running"))
    ending = ENDINGS.get(result.ended, result.ended)
    return f"{len(result.history)} trials of a space of {result.space.counted}: {counts} ({ending})"


def _trials(result: Result, trials: Iterable[Trial], title: str) -> Table:
    objectives = [objective.name for objective in result.history.objectives]
    listed = list(trials)
    others = sorted({name for trial in listed for name in trial.metrics} - set(objectives))
    table = Table(title=title, title_justify="left")
    table.add_column("trial", justify="right")
    table.add_column("architecture")
    for name in (*objectives, *others):
        table.add_column(escape(name), justify="right", style="bold" if name in objectives else "")
    table.add_column("seconds", justify="right")
    for trial in listed:
        values = [f"{trial.metrics[name]:.5g}" if name in trial.metrics else "" for name in (*objectives, *others)]
        table.add_row(str(trial.id), trial.architecture.id, *values, f"{trial.seconds:.2f}")
    return table


def _options(result: Result, top: int) -> Table:
    table = Table(title=f"Options of the best {top} trials", title_justify="left")
    table.add_column("choice")
    table.add_column("options, most frequent first")
    for label, counts in result.option_counts(top).items():
        used = sorted(((option, count) for option, count in counts.items() if count), key=lambda pair: -pair[1])
        table.add_row(escape(label), escape(", ".join(f"{option} ×{count}" for option, count in used) or "inactive"))
    return table


def write_plots(result: Result, folder: Path) -> list[Path]:
    """Write the plots that a result allows as PNG files, and return their paths."""
    written = [result.plot_history(folder / "history.png"), result.plot_options(folder / "options.png")]
    if len(result.history.objectives) > 1:
        written.append(result.plot_pareto(folder / "pareto.png"))
    return written
