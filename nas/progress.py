"""The progress bar of a search."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from autopanoptic.nas.history import History
from autopanoptic.nas.trial import Trial, TrialState


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
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as progress:
        task = progress.add_task("", total=total)

        def update() -> None:
            ended = len(history) - len(history.running)
            progress.update(task, completed=ended, description=_description(history))

        update()
        yield update


def _description(history: History) -> str:
    parts = []
    best: Trial | None = history.best
    if best is not None:
        name = history.objectives[0].name
        parts.append(f"best {name} {best.metrics[name]:.4g}")
    for state in (TrialState.FAILED, TrialState.STOPPED):
        count = sum(trial.state is state for trial in history.finished)
        if count:
            parts.append(f"{count} {state.value}")
    return ", ".join(parts)
