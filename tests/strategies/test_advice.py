"""What strategies say of the number of trials."""

from __future__ import annotations

import logging

import pytest

from autopanoptic.nas import Architecture, Choice, History, Search, SearchSpace
from autopanoptic.strategies import (
    NSGA2,
    BayesianOptimization,
    Evolution,
    GridSearch,
    LocalSearch,
    RandomSearch,
    RegularizedEvolution,
    Strategy,
)
from autopanoptic.strategies.testing.simulation import Simulation

SPACE = SearchSpace(Choice(f"c{i}", range(6)) for i in range(20))


def value(architecture: Architecture) -> float:
    return float(sum(int(option) for option in architecture.values()))


@pytest.mark.parametrize(
    ("strategy", "random"),
    [
        (RegularizedEvolution(), 100),
        (RegularizedEvolution(12, 3), 12),
        (Evolution(), 50),
        (NSGA2(population=8), 8),
        (BayesianOptimization(initial=7), 7),
    ],
    ids=repr,
)
def test_a_strategy_whose_trials_would_all_be_random_says_so(strategy: Strategy, random: int) -> None:
    said = strategy.advise(SPACE, random)
    assert said is not None
    assert said.startswith(f"{type(strategy).__name__} draws its first {random} trials at random, so {random} trials")
    assert strategy.advise(SPACE, random + 1) is None
    drawn = Simulation(RandomSearch(), SPACE).run(random)
    assert Simulation(strategy, SPACE).run(random).architectures == drawn.architectures, "what it says is so"
    assert Simulation(strategy, SPACE).run(random + 1).architectures[:-1] == drawn.architectures


@pytest.mark.parametrize("strategy", [RandomSearch(), GridSearch(), LocalSearch()], ids=repr)
def test_the_others_have_nothing_to_say(strategy: Strategy) -> None:
    assert strategy.advise(SPACE, 1) is None


def test_what_is_advised_suits_the_trials() -> None:
    for trials in (2, 7, 60, 100):
        assert RegularizedEvolution(max(2, trials // 3), 1).advise(SPACE, trials + 1) is None
    said = RegularizedEvolution().advise(SPACE, 60)
    assert said is not None
    assert "RegularizedEvolution(20, 5)" in said


def test_a_search_logs_the_advice(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Search(SPACE, RegularizedEvolution(), value).run(100)
    assert len(caplog.messages) == 1
    assert "RegularizedEvolution draws its first 100 trials at random, so 100 trials are random search" in caplog.text
    caplog.clear()
    Search(SPACE, RegularizedEvolution(10, 3), value).run(30)
    assert not caplog.messages


def test_a_strategy_of_ones_own_need_not_advise() -> None:
    class Own(Strategy):
        def propose(self, space: SearchSpace, history: History, rng: object) -> Architecture | None:
            return None

    assert Own().advise(SPACE, 3) is None
