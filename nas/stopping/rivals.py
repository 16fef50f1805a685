"""The completed trials against which others race."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Rivals:
    """Points of which fewer than ``top`` others are at least as good in everything; more is better.

    Those are enough to tell whether ``top`` of all points that ever were added are better than another point in some of
    the objectives, or in all: a point that was left out has ``top`` in its place. Of n points with two independent
    objectives about ``top`` log(n / ``top``) stay. Immutable.

    Args:
        top: how many.
        objectives: the length of a point.
    """

    def __init__(self, top: int, objectives: int) -> None:
        self._top = top
        self._points = np.empty((0, objectives))

    def joined_by(self, gains: Sequence[float]) -> Rivals:
        """Return these and one more point."""
        new = np.array(gains, dtype=float)
        if (self._points >= new).all(axis=1).sum() >= self._top:
            return self
        points = np.vstack([self._points, new])
        for index in np.flatnonzero((new >= points[:-1]).all(axis=1))[::-1]:
            if (points >= points[index]).all(axis=1).sum() > self._top:
                points = np.delete(points, index, axis=0)
        found = Rivals(self._top, len(new))
        found._points = points
        return found

    def __len__(self) -> int:
        return len(self._points)

    def dominate(self, point: NDArray[np.float64]) -> bool:
        """Return whether ``top`` rivals are at least as good as a point in everything, and better in something."""
        beaten = (self._points >= point).all(axis=1) & (self._points > point).any(axis=1)
        return int(beaten.sum()) >= self._top

    def beat_in_each(self, point: NDArray[np.float64]) -> bool:
        """Return whether a point is worse in each objective than ``top`` rivals, which may be others in each."""
        return bool(((self._points > point).sum(axis=0) >= self._top).all())

    def threshold(self, index: int, point: NDArray[np.float64], in_each: bool = False) -> float | None:
        """Return the value that one objective must fall short of for a point to be beaten, known in all the others.

        Args:
            index: the objective.
            point: shape (objectives,); the value at ``index`` is not regarded.
            in_each: whether the ``top`` rivals may be others in each objective, as in :meth:`beat_in_each`; otherwise
                as in :meth:`dominate`.

        Returns:
            None where the point is not beaten, whatever the value.
        """
        others = np.arange(len(point)) != index
        known, rest = point[others], self._points[:, others]
        if in_each and ((rest > known).sum(axis=0) < self._top).any():
            return None
        able = self._points[:, index] if in_each else self._points[(rest >= known).all(axis=1), index]
        return float(np.sort(able)[-self._top]) if len(able) >= self._top else None
