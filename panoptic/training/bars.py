"""How far long work is: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from autopanoptic.nas.progress.lines import Lines


@contextmanager
def bar(console: Console, title: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that takes how much is done and how much is to do."""
    with bars(console, title, [""]) as move:
        yield lambda done, total: move("", done, total)


@contextmanager
def bars(console: Console, title: str, names: Sequence[str]) -> Iterator[Callable[[str, int, int], None]]:
    """Show how far several things are that are done at the same time.

    Yields:
        A function that takes a name, how much is done of it and how much is to do.
    """
    with (_drawn if console.is_terminal else _written)(console, title, names) as move:
        yield move


@contextmanager
def _drawn(console: Console, title: str, names: Sequence[str]) -> Iterator[Callable[[str, int, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        tasks = {name: progress.add_task(f"{title} {name}".strip(), total=None) for name in names}
        yield lambda name, done, total: progress.update(tasks[name], completed=done, total=total)


@contextmanager
def _written(console: Console, title: str, names: Sequence[str]) -> Iterator[Callable[[str, int, int], None]]:
    lines = Lines(lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True), title)
    far = dict.fromkeys(names, (0, 0))

    def move(name: str, done: int, total: int) -> None:
        far[name] = (done, total)
        # What has not begun has as much to do as the one that has.
        whole = sum(each or total for _, each in far.values())
        note = ", ".join(f"{each} {part}" for each, (part, _) in far.items()) if len(far) > 1 else ""
        lines.update(sum(part for part, _ in far.values()), whole, lambda: note)

    yield move
