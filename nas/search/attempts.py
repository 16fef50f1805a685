"""How often a trial is run again, and when a search has seen too many fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, TypeAlias

from autopanoptic.nas.executors.base import Outcome
from autopanoptic.nas.search.errors import SearchError
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import Trial, TrialState

RetryOn: TypeAlias = type[BaseException] | tuple[type[BaseException], ...]
GIVE_UP_AFTER = 10


class Attempts:
    """Counts the attempts at each trial that failed for a reason which may pass.

    Args:
        retries: how many more attempts a trial has.
        retry_on: an exception class, or a tuple of them, after which a trial is tried again; so it is after the death
            of its worker.

    Raises:
        TypeError: when ``retry_on`` holds what is no exception class.
    """

    def __init__(self, retries: int, retry_on: RetryOn) -> None:
        self._retries = retries
        self._names = _names(retry_on)
        self._used: Counter[int] = Counter()

    def see(self, event: Mapping[str, Any]) -> None:
        """Take in an event that has happened before."""
        if event["event"] in ("died", "attempt_failed"):
            self._used[event["trial"]] += 1
        elif event["event"] in ("reopened", "promoted", "evaluated"):
            self.start_anew(event["trial"])

    def start_anew(self, trial_id: int) -> None:
        """Forget the attempts at a trial."""
        self._used.pop(trial_id, None)

    def event_of(self, outcome: Outcome) -> str | None:
        """Return the kind of event of an attempt that failed for a reason which may pass; None for any other end."""
        if outcome.died:
            return "died"
        passing = outcome.error is not None and not self._names.isdisjoint(outcome.error_types)
        return "attempt_failed" if passing else None

    def another(self, trial_id: int) -> bool:
        """Count one more failed attempt, and return whether there is another."""
        self._used[trial_id] += 1
        return self._used[trial_id] <= self._retries


def _names(classes: RetryOn) -> frozenset[str]:
    # By name, because the exceptions of other processes arrive without their classes.
    found = classes if isinstance(classes, tuple) else (classes,)
    for one in found:
        if not (isinstance(one, type) and issubclass(one, BaseException)):
            raise TypeError(f"retry_on is an exception class or a tuple of them, such as (OSError,), not {classes!r}.")
    return frozenset(f"{one.__module__}.{one.__qualname__}" for one in found)


class FailureWatch:
    """Ends a search in which only failures are seen.

    Args:
        history: what has been seen before.
        in_a_row: how many trials may fail one after another; None for any number.
    """

    def __init__(self, history: History, in_a_row: int | None) -> None:
        self._in_a_row = in_a_row
        self._row = 0
        ended = history.finished
        self._failed = [trial for trial in ended if trial.state is TrialState.FAILED]
        self._all = len(self._failed) == len(ended) and not any(trial.rungs for trial in history)

    def see(self, trial: Trial) -> None:
        """Take in a trial that has ended.

        Raises:
            SearchError: when all of the first ten have failed, or so many in a row; with an error of theirs.
        """
        if trial.state is not TrialState.FAILED:
            self._row, self._all = 0, False
            return
        self._row += 1
        self._failed.append(trial)
        self.check_any_succeeded(GIVE_UP_AFTER)
        if self._row == self._in_a_row:
            raise SearchError(
                f"The last {self._row} trials failed one after another, so the search stops. When the cause is mended, "
                f"run(retry_failed=True) tries them again; max_failures= allows more. The last, trial {trial.id}:\n"
                f"{trial.error}"
            )

    def check_any_succeeded(self, enough: int = 1) -> None:
        """Refuse to go on when ``enough`` trials or more have ended, all of which failed.

        Raises:
            SearchError: with the first error.
        """
        if self._all and len(self._failed) >= enough:
            first = self._failed[0]
            raise SearchError(f"All {len(self._failed)} trials failed. The first, trial {first.id}:\n{first.error}")
