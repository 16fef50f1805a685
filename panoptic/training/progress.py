"""Progress of long work where there is no terminal for a bar: a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable

PARTS = 10
"""Lines for the whole work, at least."""
SILENCE = 60.0
"""Seconds without a line, at most, while the work goes on."""


class ProgressLines:
    """Says how far some work is, after each tenth of it, and after each minute.

    Args:
        title: What is done.
        total: Steps of all of it.
        tell: Takes a line; prints it by default.
        clock: Seconds that have passed since some moment.
    """

    def __init__(
        self,
        title: str,
        total: int,
        tell: Callable[[str], None] = print,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.title, self.total, self.tell, self.clock = title, total, tell, clock
        self._begun = self._told = clock()
        self._first: int | None = None
        self._part = 0

    def __call__(self, done: int) -> None:
        """Say that so many steps are done, if it is time."""
        if self._first is None:
            # Work that goes on from a checkpoint begins at its step, and what came before took no time now.
            self._first, self._part = done - 1, PARTS * (done - 1) // self.total
        now, part = self.clock(), PARTS * done // self.total
        if part == self._part and now - self._told < SILENCE:
            return
        self._part, self._told = part, now
        self.tell(f"{self.title}: {done} of {self.total}, {self._times(done, now)}")

    def _times(self, done: int, now: float) -> str:
        assert self._first is not None
        passed = now - self._begun
        if done >= self.total:
            return f"in {_shown(passed)}"
        return f"{_shown(passed)} so far, about {_shown(passed * (self.total - done) / (done - self._first))} left"


def _shown(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
