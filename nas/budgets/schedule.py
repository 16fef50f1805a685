"""What a schedule of budgets is: it decides how far a trial is evaluated, and which one goes on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

from autopanoptic.nas.hyperparameters import ShownHyperparameters
from autopanoptic.nas.stopping.rungs import Point
from autopanoptic.nas.strategy import require_count
from autopanoptic.nas.trials.budget import RungResult
from autopanoptic.nas.trials.history import History


class Promotion(NamedTuple):
    """A paused trial that goes on, and its next budget."""

    trial_id: int
    budget: int


class Schedule(ShownHyperparameters, ABC):
    """Decides with which budgets trials are evaluated; a function of the history, as a strategy is.

    A budget is a whole number in a unit of the evaluator's: epochs, steps, images. A trial that has been evaluated with
    a smaller budget than :attr:`largest` is paused, and may be promoted to a larger one later. Its ``repr`` shows its
    parameters and nothing else, because a journal keeps it to recognise its search.

    Attributes:
        enough: from how many trials a strategy learns; see :meth:`Search`. None for one more than the space has
            choices.
    """

    enough: int | None = None

    @property
    @abstractmethod
    def largest(self) -> int:
        """The budget with which a trial is completed."""

    @abstractmethod
    def first(self, number: int) -> int:
        """Return the budget with which trial ``number`` begins."""

    def promotion(self, history: History, *, last: bool = False) -> Promotion | None:
        """Return which paused trial goes on now; None for none, so that a new one may begin.

        Args:
            history: all trials, with what was measured of them at each budget.
            last: whether none runs and no new one will ever begin, so that there is nothing to wait for.
        """
        return None

    def given_up(self, history: History) -> list[int]:
        """Return the paused trials that will never go on, however many others come; a trial once given up stays so."""
        return []

    def advise(self, trials: int) -> str | None:
        """Return what a user should know who gives the schedule so many trials in all; None where they suit it."""
        return None


@dataclass(frozen=True)
class FixedBudget(Schedule):
    """Evaluates every trial with one budget: ``Search(..., budget=27)``.

    Args:
        budget: a whole number of at least 1.
    """

    budget: int

    def __post_init__(self) -> None:
        require_count("FixedBudget", "budget", self.budget)

    @property
    def largest(self) -> int:
        """The budget."""
        return self.budget

    def first(self, number: int) -> int:
        """Return the budget."""
        return self.budget


def schedule_of(value: Schedule | int | None) -> Schedule | None:
    """Return the schedule that a user gave, or that of a single budget.

    Raises:
        TypeError: when it is neither.
        ValueError: for a budget below 1.
    """
    if value is None or isinstance(value, Schedule):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return FixedBudget(value)
    raise TypeError(f"A budget is a whole number, or a schedule such as ASHA(27), not {value!r}.")


def point_of(history: History, result: RungResult) -> Point:
    """Return by how much a result breaks the constraints, negated, and its objectives so that more is better."""
    broken = sum(constraint.violation(result.metrics[constraint.name]) for constraint in history.constraints)
    return (-broken, *(objective.gain(result.metrics) for objective in history.objectives))
