"""How long a search and each of its trials may take."""

from __future__ import annotations

import math
import operator
import time

SECONDS_BETWEEN_LOOKS = 0.1
"""At workers that are getting ready, to start the clocks of their trials."""

SECONDS_TO_COLLECT = 2.0
"""At most: workers may report faster than they are heard."""

SILENT_LOOKS = 5
"""In a row, at which nothing has come: an executor may drop a message, behind which there is a result."""

SECONDS_TO_CLEAN_UP = 5.0
"""For an evaluation that has been told to end, which may have files to close, until it is ended."""


class Limits:
    """The limits of one run.

    Args:
        trials: how many trials in all; None for no limit.
        seconds: after this long no trial is begun; None for no limit.
        grace: how many seconds more those under way have then; None for as long as they take.
        trial_seconds: how long one evaluation may take; None for no limit.

    Raises:
        ValueError: for a limit that is no number of seconds or trials, or for ``grace`` without ``seconds``.
    """

    def __init__(
        self, trials: int | None, seconds: float | None, grace: float | None, trial_seconds: float | None
    ) -> None:
        require_seconds("seconds", seconds)
        require_seconds("grace", grace)
        if grace is not None and seconds is None:
            raise ValueError(f"grace={grace} says how long trials may go on after seconds=; give that as well.")
        self.trials = None if trials is None else require_whole("trials", trials)
        self.trial_seconds = trial_seconds
        now = time.monotonic()
        self._begin_until = math.inf if seconds is None else now + seconds
        self._end_by = math.inf if grace is None else self._begin_until + grace
        self._ends: dict[int, float] = {}

    def begin(self, trial_id: int) -> None:
        """Start a trial's clock."""
        if self.trial_seconds is not None:
            self._ends[trial_id] = time.monotonic() + self.trial_seconds

    def spent(self, trial_id: int, seconds: float) -> None:
        """Set the clock of a trial, where it has one, by what its evaluation says that it has taken."""
        if trial_id in self._ends and self.trial_seconds is not None:
            self._ends[trial_id] = time.monotonic() + self.trial_seconds - seconds

    def clean_up(self, trial_id: int) -> None:
        """Give a trial that has been told to end, where it has a clock, the time that it may take for that."""
        if trial_id in self._ends:
            self._ends[trial_id] = time.monotonic() + SECONDS_TO_CLEAN_UP

    def end(self, trial_id: int) -> None:
        """Stop a trial's clock."""
        self._ends.pop(trial_id, None)

    @property
    def no_more(self) -> bool:
        """Whether it is too late to begin a trial."""
        return time.monotonic() >= self._begin_until

    @property
    def at_an_end(self) -> bool:
        """Whether the trials under way have had their grace."""
        return time.monotonic() >= self._end_by

    def overdue(self, trial_id: int, seconds: float | None = None) -> bool:
        """Whether a trial has taken longer than one may, by its clock or by the seconds that are known of it."""
        if seconds is not None:
            return self.trial_seconds is not None and seconds >= self.trial_seconds
        return time.monotonic() >= self._ends.get(trial_id, math.inf)

    @property
    def all_overdue(self) -> list[int]:
        """The trials that have taken longer than one may."""
        return [trial_id for trial_id in self._ends if self.overdue(trial_id)]

    @property
    def left(self) -> float | None:
        """Seconds until the next limit is reached, from 0; None where there is none."""
        following = min([self._end_by, *self._ends.values()])
        return None if following == math.inf else max(0.0, following - time.monotonic())


def require_seconds(name: str, value: float | None) -> None:
    """Refuse a limit that is no number of seconds.

    Raises:
        ValueError: names it and its value.
    """
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        raise ValueError(f"{name} must be a number of seconds from 0, or None for no limit, not {value!r}.")


def require_whole(name: str, value: int, low: int = 0) -> int:
    """Return a whole number of at least ``low``.

    Raises:
        ValueError: when it is none; names it and its value.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = low - 1
    if number < low:
        raise ValueError(f"{name} must be a whole number from {low}, not {value!r}.")
    return number
