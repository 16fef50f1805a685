"""Proposals that are worked out before they are asked for."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from autopanoptic.nas import (
    NSGA2,
    Architecture,
    BayesianOptimization,
    Choice,
    Evolution,
    GridSearch,
    History,
    Objective,
    PathPriority,
    RandomSearch,
    RegularizedEvolution,
    Search,
    SearchError,
    SearchSpace,
    Strategy,
)
from autopanoptic.nas.search.proposals import Proposals
from benchmarks.scaling.simulated import SimulatedExecutor

SPACE = SearchSpace([Choice(f"c{index}", range(4)) for index in range(6)])


def score(architecture: Architecture) -> float:
    return float(sum(int(option) * (index % 3 - 1) for index, option in enumerate(architecture.values())))


def found(strategy: Strategy, *, ordered: bool, workers: int = 5) -> list[Any]:
    rng = random.Random(1)
    durations = [rng.uniform(0.1, 3) for _ in range(60)]
    executor = SimulatedExecutor(workers, durations.__getitem__)
    costs = {"sum": lambda architecture: float(sum(architecture.values()))}
    search = Search(
        SPACE, strategy, score, executor=executor, ordered=ordered, costs=costs, constraints={"sum": (None, 12)}, seed=2
    )
    return [(t.id, t.architecture, t.metrics) for t in search.run(60, progress=False).history.finished]


STRATEGIES = [RandomSearch(), GridSearch(), Evolution(12), NSGA2(12), PathPriority(3)]


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: type(strategy).__name__)
def test_the_search_is_the_same_to_the_bit(strategy: Strategy, ordered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert strategy.proposes_ahead()
    ahead = found(strategy, ordered=ordered)
    monkeypatch.setattr(type(strategy), "proposes_ahead", lambda self: False)
    assert ahead == found(strategy, ordered=ordered)


@pytest.mark.parametrize("strategy", [RegularizedEvolution(4, 2), BayesianOptimization()], ids=repr)
def test_what_depends_on_running_trials_is_not_proposed_ahead(strategy: Strategy) -> None:
    assert not strategy.proposes_ahead()


class Counts(RandomSearch):
    """Notes how many trials ran when it was asked."""

    def __init__(self) -> None:
        self.__dict__["_running"] = []

    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture | None:
        self.__dict__["_running"].append(len(history.running))
        return super().propose(space, history, rng)


def test_a_free_worker_finds_its_trial_ready() -> None:
    strategy, seen = Counts(), []

    def cost(architecture: Architecture) -> float:
        seen.append(len(search.history.running))
        return 1.0

    executor = SimulatedExecutor(3, lambda trial_id: 1.0 + 0.01 * trial_id)
    search = Search(SPACE, strategy, score, executor=executor, costs={"one": cost}, seed=2)
    search.run(20, progress=False)
    # The first three workers are free; all later trials are ready while three run, and none is made in vain.
    assert strategy.__dict__["_running"] == [0, 1, 2, *[3] * 17]
    assert seen == [1, 2, 3, *[3] * 17]  # these have been asked for already


def test_what_is_ready_is_for_this_number_of_this_history_alone() -> None:
    proposals = Proposals(RandomSearch(), SPACE, 0, ())
    empty, other = History([Objective("value")]), History([Objective("value")])
    first = proposals.think(empty)
    assert first is not None
    assert proposals.think(empty) is None  # it is there
    assert proposals.next(other) == first  # worked out again, for another history
    again = proposals.think(empty)
    assert again == first
    assert proposals.next(empty) is again


class Stuck(RandomSearch):
    """Proposes one architecture for ever."""

    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture | None:
        return next(iter(space))


def test_what_a_strategy_raises_comes_when_it_is_asked() -> None:
    executor = SimulatedExecutor(2, lambda trial_id: 1.0)
    search = Search(SPACE, Stuck(), score, executor=executor)
    with pytest.raises(SearchError, match="Stuck proposed 100 times in a row"):
        search.run(3, progress=False)
    assert len(search.history) == 1
