"""How far the trainings of a comparison are: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as Remaining

from autopanoptic.nas.progress.lines import Lines


class Moved(Protocol):
    """Hears how far trainings are."""

    def to(self, name: str, done: int) -> None:
        """So many passes of one are done."""

    def end(self, name: str) -> None:
        """One has ended."""


@contextmanager
def moving(console: Console, names: Sequence[str], passes: int) -> Iterator[Moved]:
    """Show how far some trainings are: all of them together, and those that are under way.

    Args:
        console: Where.
        names: Of the trainings.
        passes: Of each.
    """
    if not console.is_terminal:
        yield _Written(console, names, passes)
        return
    columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn(), Remaining())
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Drawn(progress, names, passes)


class _Far:
    """How far the trainings are."""

    def __init__(self, names: Sequence[str], passes: int) -> None:
        self.passes = passes
        self.far = dict.fromkeys(names, 0)
        self.ended: set[str] = set()

    @property
    def done(self) -> int:
        return sum(self.far.values())

    @property
    def whole(self) -> int:
        return self.passes * len(self.far)

    def end(self, name: str) -> None:
        self.far[name] = self.passes
        self.ended.add(name)


class _Written(_Far):
    def __init__(self, console: Console, names: Sequence[str], passes: int) -> None:
        super().__init__(names, passes)
        self._lines = Lines(
            lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True), "training, passes"
        )

    def to(self, name: str, done: int) -> None:
        self.far[name] = done
        self._lines.update(self.done, self.whole, self._note)

    def _note(self) -> str:
        under_way = (f"{name} {done}" for name, done in self.far.items() if done and name not in self.ended)
        return "; ".join((f"{len(self.ended)} of {len(self.far)} trainings ended", *under_way))


class _Drawn(_Far):
    def __init__(self, progress: Progress, names: Sequence[str], passes: int) -> None:
        super().__init__(names, passes)
        self._progress = progress
        self._all = progress.add_task(self._title(), total=self.whole)
        self._tasks: dict[str, TaskID] = {}

    def to(self, name: str, done: int) -> None:
        self.far[name] = done
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=self.passes)
        self._progress.update(self._tasks[name], completed=done)
        self._progress.update(self._all, completed=self.done)

    def end(self, name: str) -> None:
        super().end(name)
        if (task := self._tasks.pop(name, None)) is not None:
            self._progress.remove_task(task)
        self._progress.update(self._all, completed=self.done, description=self._title())

    def _title(self) -> str:
        return f"{len(self.ended)} of {len(self.far)} trainings"
