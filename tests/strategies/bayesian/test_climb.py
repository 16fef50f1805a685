from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.encoding import OneHot
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.trials.trial import Trial
from autopanoptic.strategies import BayesianOptimization, RandomSearch
from autopanoptic.strategies.bayesian import neighborhood
from autopanoptic.strategies.bayesian.climb import climb
from autopanoptic.strategies.testing.simulation import Simulation
from tests.bayesian import searched

LARGE = SearchSpace(Choice(f"c{i}", range(5)) for i in range(20))


def test_a_climb_ends_where_no_neighbour_is_better() -> None:
    for seed in range(3):
        search, acquisition = searched(LARGE, 30, seed)
        parents = [trial.architecture for trial in search.history.ranked()[:5]]
        found = climb(LARGE, search.history, acquisition, parents, np.random.default_rng(seed), 100)
        assert found is not None
        assert found not in search.history
        around = [one for one in LARGE.neighbors(found) if one not in search.history]
        (own,) = acquisition(LARGE.encode([found]), [found])
        assert acquisition(LARGE.encode(around), around).max() <= own + 2 * neighborhood.SLACK
        drawn = LARGE.encode(LARGE.sample(np.random.default_rng(9)) for _ in range(2000))
        assert own >= acquisition(drawn, ()).max() - neighborhood.SLACK


def test_a_climb_keeps_the_constraint_and_asks_about_few() -> None:
    asked: set[Architecture] = set()

    def accept(architecture: Architecture) -> bool:
        asked.add(architecture)
        return sum(int(option) for option in architecture.values()) <= 35

    part = LARGE.where(accept, "sum <= 35")
    search, acquisition = searched(part, 30)
    parents = [trial.architecture for trial in search.history.ranked()[:5]]
    asked.clear()
    found = climb(part, search.history, acquisition, parents, np.random.default_rng(0), 50)
    assert found is not None
    assert sum(int(option) for option in found.values()) <= 35
    assert len(asked) < 5 * sum(1 for _ in LARGE.neighbors(found)), "the parents' neighbours alone are as many"


def test_a_climb_finds_nothing_where_all_is_tried() -> None:
    space = SearchSpace([Choice("a", range(3)), Choice("b", range(2))])
    search, acquisition = searched(space, 6)
    assert len(search.history) == 6
    assert climb(space, search.history, acquisition, list(space), np.random.default_rng(0), 20) is None


def test_running_trials_are_not_candidates() -> None:
    space = SearchSpace([Choice("a", range(3)), Choice("b", range(2))])
    search, acquisition = searched(space, 3)
    rest = [architecture for architecture in space if architecture not in search.history]
    for architecture in rest[:2]:
        search.history.add(Trial(len(search.history), architecture))
    assert climb(space, search.history, acquisition, list(space), np.random.default_rng(0), 20) == rest[2]


@pytest.mark.parametrize(("choices", "options"), [(500, 10), (20, 1000)])
def test_a_wide_space_costs_little(choices: int, options: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten parents have 45,000 or 199,800 neighbours; as dense rows these are 1.8 or 32 GB."""
    encode = OneHot.__call__
    rows: list[int] = []

    def counted(self: OneHot, architectures: list[Architecture]) -> object:
        found = encode(self, architectures)
        rows.append(len(found))
        return found

    monkeypatch.setattr(OneHot, "__call__", counted)
    space = SearchSpace(Choice(f"c{i}", range(options)) for i in range(choices))
    search = Simulation(RandomSearch(), space).run(25)
    strategy = BayesianOptimization(candidates=100)
    tracemalloc.start()
    try:
        found = strategy.propose(space, search.history, np.random.default_rng(0))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found in space
    assert sum(rows) < 1000
    assert peak < 100e6


def conditional(pairs: int) -> SearchSpace:
    parents = [Choice(f"p{i}", range(10)) for i in range(pairs)]
    return SearchSpace([*parents, *(Choice(f"c{i}", range(10), (f"p{i}", range(5))) for i in range(pairs))])


def symmetric(choices: int) -> SearchSpace:
    flat = [Choice(f"c{i}", range(10)) for i in range(choices)]
    return SearchSpace(flat, lambda a: dict(zip(a, sorted(a.values()), strict=True)))


@pytest.mark.parametrize("space", [conditional(150), symmetric(300)], ids=["parents", "symmetries"])
def test_neighbours_that_must_be_made_are_few_in_a_wide_space(
    space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Around a hundred places 1,350 or 2,700 could be made each, at a cost that grows with the number of choices."""
    made: list[str] = []
    changed = SearchSpace.changed

    def counted(self: SearchSpace, place: Architecture, label: str, option: Option) -> Architecture:
        if not self.changes_alone(label):
            made.append(label)
        return changed(self, place, label, option)

    monkeypatch.setattr(SearchSpace, "changed", counted)
    search = Simulation(RandomSearch(), space).run(12)
    assert BayesianOptimization(candidates=20).propose(space, search.history, np.random.default_rng(0)) in space
    assert 0 < len(made) <= 10_000
