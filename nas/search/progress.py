"""The progress bar of a search."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import TrialState

SECONDS_BETWEEN = 0.1


@contextmanager
def search_progress(show: bool, total: int | None, history: History) -> Iterator[Callable[[], None]]:
    """Show a bar on the terminal, and yield the function that brings it up to date."""
    if not show:
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("search"),
        BarColumn(),
        MofNCompleteColumn(),
        # The description names an objective, whose brackets are no markup.
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        # What evaluators print goes round the bar on a terminal, and into the file or pipe where it was sent to one.
        redirect_stdout=sys.stdout.isatty(),
    ) as progress:
        task = progress.add_task("", total=total)
        shown = 0.0

        def draw() -> None:
            ended = len(history) - len(history.running)
            progress.update(task, completed=ended, description=_description(history))

        def update() -> None:
            nonlocal shown
            # Finding the best trial takes time in proportion to their number.
            if time.monotonic() - shown > SECONDS_BETWEEN:
                draw()
                shown = time.monotonic()

        update()
        yield update
        draw()


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
    return ", ".join(parts)
