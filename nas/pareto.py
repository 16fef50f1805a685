"""Pareto dominance between points of which every coordinate is better when larger."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def fronts(gains: ArrayLike) -> NDArray[np.intp]:
    """Return the number of each point's front, 0 for the points that none dominates.

    Non-dominated sorting of Deb et al. 2002 ("A fast and elitist multiobjective genetic algorithm: NSGA-II", III-A).

    Args:
        gains: shape (n, objectives), finite.

    Returns:
        Shape (n,).
    """
    points = np.asarray(gains, dtype=float)
    at_least = np.ones((len(points), len(points)), dtype=np.bool_)
    better = np.zeros_like(at_least)
    for values in points.T:
        at_least &= values[:, None] >= values[None, :]
        better |= values[:, None] > values[None, :]
    dominates = at_least & better
    left = np.count_nonzero(dominates, axis=0)
    found = np.full(len(points), -1, dtype=np.intp)
    front = 0
    while (current := (found < 0) & (left == 0)).any():
        found[current] = front
        left = left - np.count_nonzero(dominates[current], axis=0)
        front += 1
    return found


def crowding(gains: ArrayLike) -> NDArray[np.float64]:
    """Return the crowding distance of each point within one front (Deb et al. 2002, III-B).

    Args:
        gains: shape (n, objectives), finite.

    Returns:
        Shape (n,); infinite for the ends of each objective.
    """
    points = np.asarray(gains, dtype=float)
    distance = np.zeros(len(points))
    for values in points.T:
        order = np.argsort(values, kind="stable")
        spread = values[order[-1]] - values[order[0]]
        distance[order[[0, -1]]] = np.inf
        if spread > 0:
            distance[order[1:-1]] += (values[order[2:]] - values[order[:-2]]) / spread
    return distance


def ranking(gains: ArrayLike) -> NDArray[np.intp]:
    """Return the indices of the points from best to worst.

    One objective sorts by value; several sort by front, then by crowding distance, largest first. Ties keep their
    order.
    """
    points = np.asarray(gains, dtype=float)
    if points.shape[1] == 1:
        return np.argsort(-points[:, 0], kind="stable")
    front = fronts(points)
    distance = np.zeros(len(points))
    for number in range(front.max(initial=-1) + 1):
        members = front == number
        distance[members] = crowding(points[members])
    return np.lexsort((-distance, front))
