"""A search's result on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich import box
from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from autopanoptic.nas.results.printable import printable
from autopanoptic.nas.results.result import Result
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import Trial

ENDINGS = {
    "trials": "as many as were asked for",
    "seconds": "the time was up",
    "strategy": "the strategy has nothing more to propose",
    None: "running or interrupted",
}
COUNTED = ("completed", "paused", "failed", "stopped", "running")
MOST_CHOICES = 60
"""Choices that are listed, unless all are asked for."""
LONGEST_NAME = 20
FRONT = 20
"""Trials of a Pareto front that are listed, unless all are asked for."""


def print_summary(
    result: Result, title: object, *, top: int = 10, options: bool = True, everything: bool = False
) -> None:
    """Print the counts of a search, its best trials, its Pareto front, the best trial's options and those of the best.

    The objectives and what is bounded come first; further metrics, in the order in which they were recorded (costs
    before what the evaluator returned), stand where the terminal has room. What is left out is named.

    Args:
        result: what to print.
        title: stands above it.
        top: how many of the best trials.
        options: whether to print the options.
        everything: whether to print all metrics, in several tables where one is too wide, and all choices.
    """
    console = Console(highlight=False)
    console.print(Text(str(title), "bold"))
    console.print(Text(summed_up(result)))
    best = result.history.ranked()[:top]
    if not best:
        return
    _print_trials(console, result, best, f"Best {len(best)} trials", everything)
    if len(result.history.objectives) > 1:
        _print_front(console, result, everything)
    if options:
        _print_answer(console, result, everything)
        _print_options(console, result, len(best), everything)


def print_trials(result: Result, top: int) -> None:
    """Print the best trials of a result, in a table that fits the terminal; nothing where none has completed."""
    best = result.history.ranked()[:top]
    if best:
        _print_trials(Console(highlight=False), result, best, f"Best {len(best)} trials", everything=False)


def summed_up(result: Result) -> str:
    """Return how many trials are in which state, and why the search ended."""
    states = Counter(trial.state.value for trial in result.history)
    # Only a search with budgets has trials that are paused.
    counts = ", ".join(f"{states[state]} {state}" for state in COUNTED if states[state] or state != "paused")
    ending = printable(ENDINGS.get(result.ended, result.ended))
    reached = max((trial.reached for trial in result.history.leading), default=0)
    compared = f"; compared at a budget of {reached}" if reached else ""
    return f"{len(result.history)} trials of a space of {result.space.counted}: {counts} ({ending}){compared}"


def _print_front(console: Console, result: Result, everything: bool) -> None:
    main = result.history.objectives[0]
    front = sorted(result.pareto(), key=lambda trial: -main.gain(trial.metrics))
    shown = front if everything else front[:FRONT]
    count = f"{len(front)} trials" if len(shown) == len(front) else f"the best {len(shown)} of {len(front)} trials"
    _print_trials(console, result, shown, f"Pareto front, {count}", everything)


def _print_trials(console: Console, result: Result, trials: Sequence[Trial], title: str, everything: bool) -> None:
    main = main_metrics(result.history)
    others = [name for name in dict.fromkeys(n for trial in trials for n in trial.metrics) if name not in main]
    last = _fits(console, trial_table(result.history, trials, main, last=True))
    first, *further = _fitting(console, result, trials, [*main, *others], last)
    _print_titled(console, title, trial_table(result.history, trials, first, last=last))
    if everything:
        for names in further:
            console.print()
            console.print(trial_table(result.history, trials, names))
    elif further:
        left = [name for names in further for name in names]
        console.print(Text(f"Without {printable(', '.join(left))}: see them by --all, or in a wider terminal.", "dim"))


def main_metrics(history: History) -> list[str]:
    """Return the names of the objectives and of the bounded metrics, each once."""
    return list(dict.fromkeys([o.name for o in history.objectives] + [c.name for c in history.constraints]))


def _fitting(
    console: Console, result: Result, trials: Sequence[Trial], names: Sequence[str], last: bool
) -> Iterator[list[str]]:
    """Yield the metrics of one table after the other, as many in each as the terminal has room for."""
    waiting = list(names)
    while waiting:
        count = 1
        while count < len(waiting) and _fits(
            console, trial_table(result.history, trials, waiting[: count + 1], last=last)
        ):
            count += 1
        yield waiting[:count]
        waiting, last = waiting[count:], False


def _fits(console: Console, table: Table) -> bool:
    width = Measurement.get(console, console.options.update(max_width=10_000), table).maximum
    return width <= console.width


def trial_table(history: History, trials: Iterable[Trial], names: Sequence[str], *, last: bool = False) -> Table:
    """Return a table of trials.

    Args:
        history: tells the objectives, which are bold.
        trials: a row each.
        names: of the metrics that are columns.
        last: whether the seconds and the architecture's id are the last columns.
    """
    objectives = {objective.name for objective in history.objectives}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    table.add_column("trial", justify="right")
    for name in names:
        # A long name takes several lines rather than the room of other metrics.
        style = "bold" if name in objectives else ""
        table.add_column(Text(printable(name)), justify="right", style=style, overflow="fold", max_width=LONGEST_NAME)
    if last:
        table.add_column("seconds", justify="right")
        table.add_column("architecture", no_wrap=True)
    for trial in trials:
        values = [f"{trial.metrics[name]:.5g}" if name in trial.metrics else "" for name in names]
        table.add_row(str(trial.id), *values, *([f"{trial.seconds:.2f}", trial.architecture.id] if last else []))
    return table


def _print_answer(console: Console, result: Result, everything: bool) -> None:
    best = result.history.best
    if best is None:
        limits = " and ".join(map(str, result.history.constraints))
        console.print(Text(f"\nNone of the trials keeps {printable(limits)}.", "bold"))
        return
    pairs = list(best.architecture.items())
    shown = pairs if everything else pairs[:MOST_CHOICES]
    cells = [Text.assemble((f"{printable(label)} ", "dim"), printable(option)) for label, option in shown]
    _print_titled(console, f"Options of the best trial, {best.id}", Columns(cells, column_first=True, padding=(0, 3)))
    _print_rest(console, len(pairs) - len(shown))


def _print_options(console: Console, result: Result, top: int, everything: bool) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    table.add_column("choice", overflow="fold")
    table.add_column("options, most frequent first", overflow="fold")
    counts = list(result.option_counts(top).items())
    shown = counts if everything else counts[:MOST_CHOICES]
    for label, found in shown:
        used = sorted(((option, count) for option, count in found.items() if count), key=lambda pair: -pair[1])
        counted = ", ".join(f"{printable(option)} ×{count}" for option, count in used)
        table.add_row(Text(printable(label)), Text(counted or "inactive"))
    _print_titled(console, f"Options of the best {top} trials", table)
    _print_rest(console, len(counts) - len(shown))


def _print_titled(console: Console, title: str, content: RenderableType) -> None:
    console.print()
    console.print(Text(title, "bold"))
    console.print(content)


def _print_rest(console: Console, count: int) -> None:
    if count:
        console.print(Text(f"and {count:,} choices more: see them by --all", "dim"))


def write_plots(result: Result, folder: Path) -> list[Path]:
    """Write the plots that a result allows as PNG files, and return their paths."""
    written = [result.plot_history(folder / "history.png"), result.plot_options(folder / "options.png")]
    if len(result.history.objectives) > 1:
        written.append(result.plot_pareto(folder / "pareto.png"))
    return written
