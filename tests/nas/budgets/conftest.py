"""Searches that are played by hand: jobs are taken and told of one by one, without an evaluator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from autopanoptic.nas import Choice, Objective, Schedule, Search, SearchSpace, Strategy, Trial
from autopanoptic.nas.stopping.rungs import Point
from autopanoptic.strategies.grid_search import GridSearch

SPACE = SearchSpace([Choice("a", range(1000))])

Job = tuple[int, int]
"""A trial and the budget that it is evaluated with."""


class Game:
    """A search whose jobs are told by hand; trial n has the architecture n.

    Args:
        budget: what is played.
        objectives: of the search.
        strategy: grid search by default.
        space: of 1,000 architectures by default.
    """

    def __init__(
        self,
        budget: Schedule,
        objectives: Mapping[str, str] | None = None,
        strategy: Strategy | None = None,
        space: SearchSpace = SPACE,
        constraints: Mapping[str, tuple[float | None, float | None]] | None = None,
    ) -> None:
        self.search = Search(
            space,
            strategy or GridSearch(),
            objectives=objectives or {"score": "max"},
            budget=budget,
            constraints=constraints,
        )
        self.running: list[Trial] = []
        self.jobs: list[Job] = []

    def take(self) -> Job | None:
        """Begin the next job, and return it."""
        trial = self.search.ask()
        if trial is None:
            return None
        assert trial.budget is not None
        self.running.append(trial)
        self.jobs.append((trial.id, trial.budget.end))
        return self.jobs[-1]

    def tell(self, place: int, metrics: Mapping[str, float] | None) -> None:
        """End the job at a place among those that run; it fails without metrics."""
        trial = self.running.pop(place)
        self.search.tell(trial, metrics, None if metrics is not None else "broken")

    def play(self, score: Callable[[int, int], Mapping[str, float] | None], jobs: int) -> list[Job]:
        """Do jobs one after the other, until there are so many or nothing more is to do, and return all of them."""
        while len(self.jobs) < jobs and self.take() is not None:
            self.tell(0, score(*self.jobs[-1]))
        return self.jobs


@pytest.fixture
def game() -> type[Game]:
    return Game


def objectives_of(names: Sequence[str]) -> tuple[Objective, ...]:
    return tuple(Objective(name) for name in names)


__all__ = ["Game", "Job", "Point"]
