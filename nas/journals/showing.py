"""A journal's header on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from autopanoptic.nas.results.described import described
from autopanoptic.nas.results.printable import printable
from autopanoptic.nas.results.result import Result
from autopanoptic.nas.results.terminal import print_trials, summed_up
from autopanoptic.nas.storage.events import end_of, replay
from autopanoptic.nas.storage.reading import Event, Reading, cut

FIELDS = ("strategy", "stopper", "schedule", "objectives", "constraints", "seed")


def show(path: Path, top: int) -> None:
    """Print a journal's header, how many trials there are in each state, and the best of them; 80 columns are enough.

    Raises:
        FileNotFoundError: when there is no such journal.
        JournalError: when it is damaged or empty.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no journal {path}.")
    reading, times = Reading(path), _Times()
    header = reading.header() or {}
    space, history = described(path, header)
    replay(history, reading, space, times.see)
    result = Result(space, history, end_of(reading.last))
    console = Console(highlight=False)
    console.print(Text(printable(path), "bold"))
    console.print(_table(header, result, reading, times))
    console.print(Text(summed_up(result)))
    print_trials(result, top)


class _Times:
    """The first and the last time of a journal's events."""

    def __init__(self) -> None:
        self.first: float | None = None
        self.last: float | None = None

    def see(self, event: Mapping[str, Any]) -> None:
        if "time" in event:
            self.last = event["time"]
            self.first = self.last if self.first is None else self.first


def _table(header: Event, result: Result, reading: Reading, times: _Times) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("release", Text(f"{_value(header.get('version', 'unknown'))}, format {header['format']}"))
    table.add_row("space", Text(f"{len(result.space.choices)} choices, {result.space.counted} architectures"))
    for name in FIELDS:
        table.add_row(name, Text(_value(header.get(name))))
    table.add_row("initial", f"{len(header.get('initial', []))} architectures")
    table.add_row("records", f"{reading.count:,} in {reading.length:,} bytes")
    if times.first is not None and times.last is not None:
        table.add_row("written", f"{_date(times.first)} to {_date(times.last)}")
    return table


def _value(value: Any) -> str:
    text = ", ".join(f"{name}: {each}" for name, each in value.items()) or "none" if isinstance(value, dict) else value
    return printable(cut(str(text)))


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")
