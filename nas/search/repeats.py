"""How often a trial's architecture is evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from autopanoptic.nas.costs.table import CostTable
from autopanoptic.nas.search.limits import require_whole
from autopanoptic.nas.stopping.racing import Racing
from autopanoptic.nas.trials.evaluations import means
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.reports import Reports
from autopanoptic.nas.trials.trial import Trial


@dataclass(frozen=True)
class Repeats:
    """How many evaluations a trial has, and who decides that it needs no more.

    Args:
        count: with different seeds, at most.
        race: ends the evaluations of a trial that cannot be among the best any more; its ``steps`` are evaluations.

    Raises:
        TypeError: when the race is none.
        ValueError: when the count is no whole number from 1, or the race has another number of steps.
    """

    count: int = 1
    race: Racing | None = None

    def __post_init__(self) -> None:
        require_whole("repeats", self.count, low=1)
        if self.race is None:
            return
        if not isinstance(self.race, Racing):
            raise TypeError(f"repeat_race is Racing(steps={self.count}, min_chunks=2), not {self.race!r}.")
        if self.race.steps != self.count:
            raise ValueError(
                f"repeat_race has steps={self.race.steps}, but there are repeats={self.count} evaluations of a trial; "
                "each is one step, so both must be the same."
            )

    def are_done(
        self, history: History, trial: Trial, metrics: Sequence[Mapping[str, float]], costs: CostTable
    ) -> bool:
        """Return whether a running trial needs no evaluation more than those that gave these metrics."""
        if len(metrics) >= self.count or self.race is None:
            return len(metrics) >= self.count
        running = Reports((step, means(metrics[:step])) for step in range(1, len(metrics) + 1))
        raced = replace(trial, reports=running, costs=costs.of(trial.architecture))
        return self.race.should_stop(history, raced, len(metrics), running[-1][1])
