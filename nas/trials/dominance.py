"""Non-dominated sorting, of which the time and the memory grow little faster than the number of points."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray


def fronts(gains: ArrayLike) -> NDArray[np.intp]:
    """Return the number of each point's front, 0 for the points that none dominates.

    Non-dominated sorting as of Deb et al. 2002 ("A fast and elitist multiobjective genetic algorithm: NSGA-II", III-A),
    found by the sequential search with bisection of Zhang et al. 2015 ("An efficient approach to nondominated sorting
    for evolutionary multiobjective optimization", ENS-BS). In lexicographic order only earlier points dominate, so a
    front of two objectives is known by its best second one, and of three by the staircase of the last two (Kung et al.
    1975): O(n log n) and O(n log^2 n) comparisons. From four objectives on a point is compared with whole fronts.

    Args:
        gains: shape (n, objectives), finite.

    Returns:
        Shape (n,).
    """
    points, place = _distinct(gains)
    if points.shape[1] == 1:
        return (len(points) - 1 - place).astype(np.intp)
    found: list[_Front] = []
    number = np.empty(len(points), dtype=np.intp)
    for index in range(len(points) - 1, -1, -1):
        rest = points[index, 1:].tolist()
        # What a front dominates all fronts before it dominate as well.
        number[index] = bisect_left(found, True, key=lambda front: not front.dominates(rest))
        if number[index] == len(found):
            found.append(_front(points.shape[1]))
        found[number[index]].add(rest)
    return number[place]


def first_front(gains: ArrayLike) -> NDArray[np.bool_]:
    """Return which points none dominates.

    Args:
        gains: shape (n, objectives), finite.

    Returns:
        Shape (n,).
    """
    points, place = _distinct(gains)
    if points.shape[1] == 1:
        return np.asarray(place == len(points) - 1)
    front, member = _front(points.shape[1]), np.zeros(len(points), dtype=np.bool_)
    for index in range(len(points) - 1, -1, -1):
        rest = points[index, 1:].tolist()
        if not front.dominates(rest):
            front.add(rest)
            member[index] = True
    return member[place]


def _distinct(gains: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the different points in lexicographic order, and where among them each of the given ones stands."""
    points = np.asarray(gains, dtype=float)
    if not len(points):
        return points.reshape(0, 1), np.empty(0, dtype=np.intp)
    order = np.lexsort(points.T[::-1])
    ordered = points[order]
    new = np.concatenate(([True], (ordered[1:] != ordered[:-1]).any(axis=1)))
    place = np.empty(len(points), dtype=np.intp)
    place[order] = np.cumsum(new) - 1
    return ordered[new], place


class _Front(Protocol):
    """The points of one front so far, each without its first objective, in which all to come are no better."""

    def dominates(self, point: Sequence[float]) -> bool:
        """Return whether one of the points is at least as good in everything."""

    def add(self, point: Sequence[float]) -> None:
        """Take in a point that none dominates."""


def _front(objectives: int) -> _Front:
    return _Best() if objectives == 2 else _Staircase() if objectives == 3 else _Rows(objectives - 1)


class _Best:
    """Of two objectives: the best value of the second."""

    def __init__(self) -> None:
        self._best = -np.inf

    def dominates(self, point: Sequence[float]) -> bool:
        return self._best >= point[0]

    def add(self, point: Sequence[float]) -> None:
        self._best = point[0]


class _Staircase:
    """Of three objectives: the points that are best in the last two, the second rising and the third falling."""

    def __init__(self) -> None:
        self._second: list[float] = []
        self._third: list[float] = []

    def dominates(self, point: Sequence[float]) -> bool:
        step = bisect_left(self._second, point[0])
        return step < len(self._second) and self._third[step] >= point[1]

    def add(self, point: Sequence[float]) -> None:
        end = bisect_left(self._second, point[0])
        end += end < len(self._second) and self._second[end] == point[0]
        start = end
        while start and self._third[start - 1] <= point[1]:
            start -= 1
        self._second[start:end] = [point[0]]
        self._third[start:end] = [point[1]]


class _Rows:
    """Of more objectives: all points, in an array that doubles."""

    def __init__(self, width: int) -> None:
        self._points = np.empty((8, width))
        self._count = 0

    def dominates(self, point: Sequence[float]) -> bool:
        return bool((self._points[: self._count] >= point).all(axis=1).any())

    def add(self, point: Sequence[float]) -> None:
        if self._count == len(self._points):
            self._points = np.concatenate([self._points, np.empty_like(self._points)])
        self._points[self._count] = point
        self._count += 1
