"""The best trials of a history that grows."""

from __future__ import annotations

from bisect import insort
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import Trial, TrialState

CHUNK = 256


class _Kept(NamedTuple):
    """What may still be among the best, in the order of the trials; one tuple, so that Ctrl-C cannot split it."""

    seen: int
    trials: list[Trial]
    gains: NDArray[np.float64]
    dominators: NDArray[np.intp]
    broken: list[tuple[float, int, Trial]]


class Elite:
    """The best trials by front and crowding distance, without a look at all trials each time there are more.

    A trial that ``count`` others dominate is never among the best ``count`` again, and whatever it dominates they
    dominate too, so that it can be forgotten; the rest (the ``count``-skyband of Papadias et al. 2005, "Progressive
    skyline computation in database systems") has the fronts that it has among all trials. In one objective the earlier
    of equals counts as better.

    Args:
        count: how many of the best are wanted.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._kept: _Kept | None = None

    @property
    def seen(self) -> int:
        """How many trials have been read."""
        return 0 if self._kept is None else self._kept.seen

    @property
    def size(self) -> int:
        """How many trials are kept."""
        return 0 if self._kept is None else len(self._kept.trials) + len(self._kept.broken)

    def ranked(self, history: History, end: int) -> list[Trial]:
        """Return the best of the trials before ``end``, best first, as ``history.ranked(history[:end])[:count]`` does.

        All of them must have ended, and ``end`` must not be less than at the last call.
        """
        for start in range(self.seen, end, CHUNK):
            self._kept = self._with(history, min(start + CHUNK, end))
        if self._kept is None:
            return []
        best = history.ranked(self._kept.trials)[: self._count]
        return (best + [trial for _, _, trial in self._kept.broken])[: self._count]

    def _with(self, history: History, end: int) -> _Kept:
        width = len(history.objectives)
        old = self._kept or _Kept(0, [], np.empty((0, width)), np.empty(0, dtype=np.intp), [])
        new, broken = [], list(old.broken)
        for trial in history[old.seen : end]:
            if trial.state is TrialState.COMPLETED:
                violation = history.violation(trial)
                if violation:
                    insort(broken, (violation, trial.id, trial))
                else:
                    new.append(trial)
        added = np.array([history.gains(trial) for trial in new]).reshape(-1, width)
        gains = np.concatenate([old.gains, added])
        by_new = _better(added, gains, first=len(old.trials))
        by_old = _better(old.gains, added, first=-len(old.trials))
        dominators = np.concatenate([old.dominators, by_old.sum(axis=0)]) + by_new.sum(axis=0)
        keep = np.flatnonzero(dominators < self._count)
        trials = [*old.trials, *new]
        return _Kept(end, [trials[place] for place in keep], gains[keep], dominators[keep], broken[: self._count])


def _better(points: NDArray[np.float64], others: NDArray[np.float64], first: int) -> NDArray[np.bool_]:
    """Return which points rank before which others for certain, as (points, others).

    Args:
        points: shape (n, objectives).
        others: shape (m, objectives).
        first: the place of the first point among the others, which decides between equals in one objective.
    """
    at_least = np.ones((len(points), len(others)), dtype=np.bool_)
    more = np.zeros_like(at_least)
    for one, other in zip(points.T, others.T, strict=True):
        at_least &= one[:, None] >= other
        more |= one[:, None] > other
    if points.shape[1] == 1:
        more |= first + np.arange(len(points))[:, None] < np.arange(len(others))
    return at_least & more
