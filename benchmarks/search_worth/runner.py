"""Does what has no row yet, in order of priority, and keeps each row as it comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeAlias

from rich.console import Console

from benchmarks.search_worth.rows import Rows
from benchmarks.strategies.results import surroundings

Found: TypeAlias = Iterator[tuple[str, Mapping[str, Any]]]
"""Rows by their names, as they come."""


@dataclass(frozen=True)
class Job:
    """Some rows that are made together, because they share data or a supernet.

    Attributes:
        part: Of the study, one of `PARTS`.
        title: What it does, for whoever waits.
        settings: Of the problem, see `Problem.digest`.
        names: Of its rows; others may come on the way, of which there is no telling how many.
        work: Yields those rows that are missing. Closed before its end it stops cleanly, and called again it goes on.
    """

    part: str
    title: str
    settings: str
    names: tuple[str, ...]
    work: Callable[[Rows], Found]

    def missing(self, rows: Rows) -> list[str]:
        """Return which rows are not there."""
        return [name for name in self.names if name not in rows]


def run(jobs: Sequence[Job], rows: Rows, console: Console, *, hours: float | None = None) -> bool:
    """Do what is missing, and return whether nothing is afterwards.

    Args:
        jobs: The first are done first.
        rows: Of the study.
        console: Tells the progress.
        hours: After which nothing new begins; what is under way then is ended within minutes, with its row. None for
            no limit.

    Raises:
        ValueError: If a row is of other settings than the study's.
    """
    for job in jobs:
        for name in job.names:
            if name in rows:
                rows.require(name, job.settings)
    end = None if hours is None else time.monotonic() + 3600 * hours
    wanted = sum(len(job.names) for job in jobs)
    for job in jobs:
        if not job.missing(rows):
            continue
        if _over(end):
            return False
        console.rule(f"{job.part}: {job.title}", align="left")
        with closing(_closable(job.work(rows))) as found:
            for name, values in found:
                rows.put(name, {"settings": job.settings, **values, **surroundings()})
                done = wanted - sum(len(one.missing(rows)) for one in jobs)
                console.print(f"{name}: written; {done} of {wanted} rows", markup=False, highlight=False)
                if _over(end):
                    break
        if _over(end):
            return not any(one.missing(rows) for one in jobs)
    return True


def _over(end: float | None) -> bool:
    return end is not None and time.monotonic() >= end


def _closable(found: Found) -> Any:
    """Return a generator, whose closing ends what it has under way."""
    yield from found
