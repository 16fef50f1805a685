"""How trials are compared at a rung of successive halving: for a stopping rule, and for promotions."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from autopanoptic.nas.trials.dominance import fronts
from autopanoptic.nas.trials.pareto import crowding, epsilon_net

Point: TypeAlias = tuple[float, ...]
"""By how much a trial breaks the constraints, negated, then its objectives so that more is better."""

BY = ("non-domination", "objectives")
SPREADS = ("epsilon-net", "crowding")


def n_better(ended: Sequence[Point], running: Sequence[Point], own: Point, by: str, spread: str) -> int:
    """Return how many trials at a rung are strictly better than one of them.

    What breaks the constraints less is better, whatever its objectives (Deb et al. 2002, VI).

    Args:
        ended: the points of trials that have ended, in ascending order.
        running: those of other trials that run.
        own: that of the trial in question.
        by: with several objectives, ``"non-domination"`` or ``"objectives"``.
        spread: what orders a front, ``"epsilon-net"`` or ``"crowding"``.
    """
    if len(own) == 2 or own[0] < 0:
        least = own if len(own) == 2 else (own[0], np.inf)
        return len(ended) - bisect_right(ended, least) + sum(other > least for other in running)
    feasible = [point[1:] for point in (*ended, *running) if point[0] == 0]
    gains = np.array(feasible, dtype=float).reshape(-1, len(own) - 1)
    if by == "objectives":
        return int((gains > own[1:]).sum(axis=0).min())
    return _n_better_by_fronts(gains, own[1:], spread)


def _n_better_by_fronts(gains: NDArray[np.float64], own: Point, spread: str) -> int:
    # Equal trials have one place, so that none of them is stopped for another.
    points, where, counts = np.unique(np.vstack([gains, own]), axis=0, return_inverse=True, return_counts=True)
    place = int(np.ravel(where)[-1])
    front = fronts(points)
    members = np.flatnonzero(front == front[place])
    better = _order(points[members], spread)
    own_place = better[np.searchsorted(members, place)]
    return int(counts[front < front[place]].sum() + counts[members][better < own_place].sum())


def best_first(points: Sequence[Point], count: int, spread: str) -> list[int]:
    """Return the places of the best of some points, best first; equal ones keep their order.

    With several objectives by front, then by ``spread`` within one, as in MO-ASHA (Schmucker et al. 2021). What breaks
    the constraints less is better, whatever its objectives.

    Args:
        points: all that have come to a rung.
        count: how many of the best are wanted.
        spread: what orders a front, ``"epsilon-net"`` or ``"crowding"``.
    """
    if not points or len(points[0]) == 2:
        return sorted(range(len(points)), key=lambda place: points[place], reverse=True)[:count]
    feasible = [place for place, point in enumerate(points) if point[0] == 0]
    order = _by_fronts(np.array([points[place][1:] for place in feasible]), count, spread) if feasible else []
    broken = sorted((place for place, point in enumerate(points) if point[0] < 0), key=lambda place: -points[place][0])
    return [*(feasible[place] for place in order), *broken][:count]


def _by_fronts(gains: NDArray[np.float64], count: int, spread: str) -> list[int]:
    points, where = np.unique(gains, axis=0, return_inverse=True)
    front, found = fronts(points), list[int]()
    for number in range(int(front.max()) + 1):
        if len(found) >= count:
            break
        members = np.flatnonzero(front == number)
        place = np.full(len(points), -1.0)
        place[members] = _order(points[members], spread)
        own = np.flatnonzero((front == number)[np.ravel(where)])
        found += own[np.argsort(place[np.ravel(where)[own]], kind="stable")].tolist()
    return found


def _order(points: NDArray[np.float64], spread: str) -> NDArray[np.float64]:
    return -crowding(points) if spread == "crowding" else epsilon_net(points).astype(float)
