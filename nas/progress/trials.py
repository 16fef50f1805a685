"""How far a search is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from autopanoptic.nas.progress.lines import Lines
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import TrialState

if TYPE_CHECKING:
    from rich.console import Console

SECONDS_BETWEEN = 0.1


@contextmanager
def search_progress(
    show: bool | None, total: int | None, history: History, title: str = "search"
) -> Iterator[Callable[[], None]]:
    """Show on standard error how far a search is, and yield the function that brings it up to date.

    Args:
        show: Whether to show it. None: a bar where standard error is a terminal, else lines of a long search.
        total: How many trials were asked for, if it was a number.
        history: Of the search.
        title: Stands before it.
    """
    if show is False:
        yield lambda: None
        return
    if show is None and not sys.stderr.isatty():
        with _lines(title, total, history, last=False) as update:
            yield update
        return
    from rich.console import Console

    console = Console(stderr=True)
    drawn = console.is_terminal or console.is_jupyter
    with _bar(console, title, total, history) if drawn else _lines(title, total, history, last=True) as update:
        yield update


@contextmanager
def _lines(title: str, total: int | None, history: History, *, last: bool) -> Iterator[Callable[[], None]]:
    lines = Lines(lambda line: print(line, file=sys.stderr, flush=True), title)
    yield lambda: lines.update(_ended(history), total, lambda: _description(history))
    if (last or lines.said is not None) and lines.said != _ended(history):
        lines.write(_ended(history), total, _description(history))


@contextmanager
def _bar(console: Console, title: str, total: int | None, history: History) -> Iterator[Callable[[], None]]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.fields[title]}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        # The description names an objective, whose brackets are no markup.
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        # What evaluators print goes round the bar on a terminal, and into the file or pipe where it was sent to one.
        redirect_stdout=sys.stdout.isatty(),
    ) as progress:
        task = progress.add_task("", total=total, title=title)
        shown = 0.0

        def draw() -> None:
            progress.update(task, completed=_ended(history), description=_description(history))

        def update() -> None:
            nonlocal shown
            # Finding the best trial takes time in proportion to their number.
            if time.monotonic() - shown > SECONDS_BETWEEN:
                draw()
                shown = time.monotonic()

        update()
        yield update
        draw()


def _ended(history: History) -> int:
    return len(history) - history.n_running


def _description(history: History) -> str:
    parts = []
    best = history.best
    if best is not None:
        name = history.objectives[0].name
        parts.append(f"best {name} {best.metrics[name]:.4g}")
    for state in (TrialState.FAILED, TrialState.STOPPED):
        count = sum(trial.state is state for trial in history.finished)
        if count:
            parts.append(f"{count} {state.value}")
    if history.paused:
        parts.append(f"{len(history.paused)} paused")
    return ", ".join(parts)
