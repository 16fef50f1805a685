"""Lines that say how far long work is, where no bar can be drawn: in a file, a pipe, a notebook's log."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

SHORTEST, LONGEST = 30.0, 600.0
"""Seconds between two lines, at least and at most; between these a tenth of the time since the beginning."""


class Lines:
    """Writes a line now and then: the first after half a minute, so that short work says nothing.

    Args:
        write: Takes a line; one that it cannot write, by an OSError, is left out.
        title: Stands before it.
        clock: Gives the time in seconds; that of the machine by default.

    Attributes:
        said: How much was done by the last line; None before the first.
    """

    def __init__(self, write: Callable[[str], object], title: str, clock: Callable[[], float] | None = None) -> None:
        self.said: int | None = None
        self._done_before: int | None = None
        self._write = write
        self._title = title
        self._clock = clock or time.monotonic
        self._begun = self._last = self._clock()

    def update(self, done: int, total: int | None, note: Callable[[], str] = str) -> None:
        """Write a line if it is time for one.

        Args:
            done: Of the work.
            total: The whole work; None where it has no end of its own.
            note: Says what else is to be known; called for a line that is written only.
        """
        if self._done_before is None:
            # Work that goes on from where it was interrupted took no time now for what came before.
            self._done_before = max(0, done - 1)
        now = self._clock()
        if now - self._last >= min(LONGEST, max(SHORTEST, (now - self._begun) / 10)):
            self.write(done, total, note())

    def write(self, done: int, total: int | None, note: str = "") -> None:
        """Write a line in any case."""
        self._last, self.said = self._clock(), done
        seconds = self._last - self._begun
        parts = [f"{done} of {total}" if total else str(done), note, shown(seconds)]
        new = done - (self._done_before or 0)
        if total and new > 0 and done < total:
            parts.append(f"about {shown(seconds * (total - done) / new)} left")
        with suppress(OSError):  # a full disk or a closed pipe is no reason to end the work
            self._write(f"{self._title}: {', '.join(part for part in parts if part)}")


def shown(seconds: float) -> str:
    """Return a duration for people, to about two figures."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{round(whole / 60)} min" if whole < 7200 else f"{whole / 3600:.1f} h"
