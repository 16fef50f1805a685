"""How often a trial's architecture is evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from autopanoptic.nas.budgets.schedule import Schedule
from autopanoptic.nas.costs.table import CostTable
from autopanoptic.nas.search.limits import require_whole
from autopanoptic.nas.stopping.racing import Racing
from autopanoptic.nas.trials.evaluations import means
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.reports import Reports
from autopanoptic.nas.trials.trial import Trial


@dataclass(frozen=True)
class Repeats:
    """How many evaluations a trial has, and who decides which trial has more.

    Args:
        count: with different seeds, at most.
        race: ends the evaluations of a trial that cannot be among the best any more; its ``steps`` are evaluations.
        schedule: pauses a trial between its evaluations and lets the best go on; its budgets are evaluations.

    Raises:
        TypeError: when the race is none.
        ValueError: when the count is no whole number from 1, or the race has another number of steps.
    """

    count: int = 1
    race: Racing | None = None
    schedule: Schedule | None = field(default=None, repr=False)

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
        if self.schedule is not None and trial.budget is not None:
            return len(metrics) >= trial.budget.end
        if len(metrics) >= self.count or self.race is None:
            return len(metrics) >= self.count
        running = Reports((step, means(metrics[:step])) for step in range(1, len(metrics) + 1))
        raced = replace(trial, reports=running, costs=costs.of(trial.architecture))
        return self.race.should_stop(history, raced, len(metrics), running[-1][1])

    def described(self) -> str | None:
        """Return what a journal keeps of it; None for one evaluation."""
        if self.schedule is not None:
            return repr(self.schedule)
        return None if self == Repeats() else repr(self)


def repeats_of(value: int | Schedule, race: Racing | None, budget: Schedule | int | None) -> Repeats:
    """Return what a user asks for by ``repeats=`` and ``repeat_race=``.

    Args:
        value: a number of evaluations, or a schedule whose budgets are such.
        race: ends them early.
        budget: of each evaluation, as the user gave it.

    Raises:
        TypeError: when the race is none.
        ValueError: for a number below 1, or a schedule together with a race or a budget.
    """
    if not isinstance(value, Schedule):
        return Repeats(value, race)
    others = {"repeat_race": race, "budget": budget}
    taken = [name for name, other in others.items() if other is not None]
    if taken:
        raise ValueError(
            f"repeats={value!r} decides by itself how often a trial is evaluated, so {' and '.join(taken)} cannot be "
            f"given as well. Leave that out, or give repeats={value.largest}."
        )
    return Repeats(value.largest, schedule=value)


def keeps_evaluations(header: Mapping[str, Any]) -> bool:
    """Return whether the trials of a journal keep their evaluations when they are promoted, as its header tells."""
    repeats = header.get("repeats")
    return isinstance(repeats, str) and not repeats.startswith(f"{Repeats.__name__}(")
