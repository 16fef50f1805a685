"""The trials at each rung, ranked; kept while a history grows."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from autopanoptic.nas.budgets.schedule import point_of
from autopanoptic.nas.stopping.rungs import Point, best_first
from autopanoptic.nas.trials.history import History


class Standings:
    """What has been measured at each budget of a history, each result read once.

    Args:
        spread: what orders a front of several objectives, ``"epsilon-net"`` or ``"crowding"``.
    """

    def __init__(self, spread: str) -> None:
        self._spread = spread
        self._read = 0
        self._points: dict[int, dict[int, Point]] = {}
        self._single: dict[int, list[tuple[float, ...]]] = {}
        self._order: dict[int, tuple[int, int, list[int]]] = {}

    def read(self, history: History) -> None:
        """Take in what has been measured since the last time; to read a result again, after Ctrl-C, does no harm."""
        for trial_id, budget in history.evaluated_since(self._read):
            if budget:
                result = next(rung for rung in history[trial_id].rungs if rung.budget == budget)
                self._add(trial_id, budget, point_of(history, result))
            self._read += 1

    def _add(self, trial_id: int, budget: int, point: Point) -> None:
        self._points.setdefault(budget, {})[trial_id] = point
        if len(point) == 2:
            entry, entries = (-point[0], -point[1], trial_id), self._single.setdefault(budget, [])
            place = bisect_left(entries, entry)
            if place == len(entries) or entries[place] != entry:
                entries.insert(place, entry)

    def count(self, budget: int) -> int:
        """Return how many trials have been measured at a budget."""
        return len(self._points.get(budget, ()))

    def best(self, budget: int, count: int) -> Iterator[int]:
        """Yield the ids of the best trials at a budget, best first, of equals that with the smaller id."""
        if budget in self._single:
            return (int(entry[-1]) for entry in self._single[budget][:count])
        return iter(self._ordered(budget, count))

    def _ordered(self, budget: int, count: int) -> list[int]:
        size, known, order = self._order.get(budget, (0, 0, []))
        if (size, known) != (self.count(budget), count):
            order = ranked(self._points.get(budget, {}), count, self._spread)
            self._order[budget] = self.count(budget), count, order
        return order


def ranked(points: dict[int, Point], count: int, spread: str) -> list[int]:
    """Return the ids of the best of some trials, best first, of equals that with the smaller id first."""
    ids = sorted(points)
    return [ids[place] for place in best_first([points[trial_id] for trial_id in ids], count, spread)]
