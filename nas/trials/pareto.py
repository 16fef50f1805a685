"""Rankings and volumes of points of which every coordinate is better when larger."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autopanoptic.nas.trials.dominance import fronts


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


def epsilon_net(gains: ArrayLike) -> NDArray[np.intp]:
    """Return the place of each point of one front in an order whose every beginning is spread over the front.

    The best point by the first objective comes first, then always the one that is farthest from all before it (Clarkson
    2006, "Nearest-neighbor searching and metric space dimensions"). Schmucker et al. 2021, "Multi-objective
    asynchronous successive halving", sort a front so. Distances are Euclidean, each objective divided by its range in
    the front, so that they do not depend on units. Where points are equally far, the first comes first. O(n^2).

    Args:
        gains: shape (n, objectives), finite.

    Returns:
        Shape (n,); 0 for the first.
    """
    points = np.asarray(gains, dtype=float)
    spread = np.ptp(points, axis=0)
    points = points / np.where(spread > 0, spread, 1.0)
    place, distance = np.empty(len(points), dtype=np.intp), np.full(len(points), np.inf)
    chosen = int(points[:, 0].argmax())
    for number in range(len(points)):
        place[chosen] = number
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen], axis=1))
        distance[chosen] = -np.inf
        chosen = int(distance.argmax())
    return place


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
    points = np.asarray(gains, dtype=float)
    points = points.reshape(0, corner.size) if not points.size else points
    if corner.ndim != 1 or points.ndim != 2 or points.shape[1] != corner.size:
        raise ValueError(
            f"A hypervolume needs points (n, objectives) and a reference (objectives,), not {points.shape} and "
            f"{corner.shape}."
        )
    if not np.isfinite(corner).all() or not np.isfinite(points).all():
        raise ValueError(f"A hypervolume needs points and a reference of finite numbers, not {reference!r}.")
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
    return np.lexsort((-crowding_within(points, front), front))


def crowding_within(gains: ArrayLike, front: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the crowding distance of each point within its front.

    Args:
        gains: shape (n, objectives), finite.
        front: shape (n,), the number of each point's front.

    Returns:
        Shape (n,).
    """
    points, order = np.asarray(gains, dtype=float), np.argsort(front, kind="stable")
    distance = np.full(len(front), np.inf)
    for members in np.split(order, np.flatnonzero(np.diff(front[order])) + 1):
        if len(members) > 2:  # one or two are ends
            distance[members] = crowding(points[members])
    return distance
