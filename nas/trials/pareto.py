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


def hypervolume(gains: ArrayLike, reference: ArrayLike) -> float:
    """Return the volume that the points dominate, above a reference point.

    Zitzler and Thiele 1998 (the S metric), by slicing along the last objective (While et al. 2006, HSO): exact, and
    exponential in the number of objectives, so meant for a few.

    Args:
        gains: shape (n, objectives), finite; points that are not better than the reference in everything add nothing.
        reference: shape (objectives,).

    Raises:
        ValueError: when the shapes do not fit, or a number is not finite.
    """
    corner = np.asarray(reference, dtype=float)
    points = np.asarray(gains, dtype=float).reshape(-1, corner.size)
    if corner.ndim != 1 or not np.isfinite(corner).all() or not np.isfinite(points).all():
        raise ValueError(f"A hypervolume needs a reference of finite numbers, one per objective, not {reference!r}.")
    return _volume(points[(points > corner).all(axis=1)] - corner)


def _volume(points: NDArray[np.float64]) -> float:
    """Return what positive points dominate above the origin."""
    if points.shape[1] == 1:
        return float(points.max(initial=0.0))
    points = points[np.argsort(-points[:, -1], kind="stable")]
    depths = points[:, -1] - np.append(points[1:, -1], 0.0)
    if points.shape[1] == 2:
        return float(np.maximum.accumulate(points[:, 0]) @ depths) if len(points) else 0.0
    return float(sum(depth * _volume(points[: n + 1, :-1]) for n, depth in enumerate(depths) if depth > 0))


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
