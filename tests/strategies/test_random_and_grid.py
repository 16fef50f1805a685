from __future__ import annotations

import copy
import itertools
import pickle

import numpy as np
import pytest

from autopanoptic.nas.search.search import Search
from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.constrained import InfeasibleError
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.strategy import unseen
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import Trial
from autopanoptic.strategies import GridSearch, RandomSearch
from autopanoptic.strategies.testing import NESTED, SMALL, SMALL_NESTED
from autopanoptic.strategies.testing.simulation import VALUE, Simulation, propose

HUGE = SearchSpace(Choice(f"c{i}", [0, 1, 2, 3]) for i in range(60))


def test_grid_search_walks_in_lexicographic_order() -> None:
    found = Simulation(GridSearch(), SMALL).run(100).architectures
    expected = itertools.product([1, 2, 3], ["x", "y"], [True, False])
    assert [tuple(architecture.values()) for architecture in found] == list(expected)


def test_grid_search_covers_a_nested_space_in_its_order() -> None:
    assert Simulation(GridSearch(), SMALL_NESTED).run(100).architectures == list(SMALL_NESTED)
    assert len(Simulation(GridSearch(), NESTED).run(10_000).history) == NESTED.size


def test_grid_search_skips_what_is_refused_or_known() -> None:
    space = SMALL.where(lambda architecture: architecture["a"] != 2, "a != 2")
    history = History(VALUE)
    known = space.canonical({"a": 1, "b": "x", "c": False})
    history.add(Trial(0, known))
    search = Simulation(GridSearch(), space)
    search.history = history
    found = [search.ask() for _ in range(7)]
    assert found == [architecture for architecture in space if architecture != known]
    assert search.ask() is None


def test_grid_search_steps_through_a_huge_space_without_looking_back() -> None:
    class CountingHistory(History):
        looks = 0

        def __contains__(self, item: object) -> bool:
            CountingHistory.looks += 1
            return super().__contains__(item)

    history = CountingHistory(VALUE)
    strategy = GridSearch()
    for number in range(500):
        proposed = propose(strategy, HUGE, history, 0)
        assert proposed is not None
        history.add(Trial(number, proposed))
    assert CountingHistory.looks < 3 * 500


def test_grid_search_says_again_that_nothing_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autopanoptic.nas.space.constrained.ENUMERABLE", 2000)
    space = HUGE.where(lambda architecture: sum(architecture.values()) == 0, "no cost")  # type: ignore[arg-type]
    strategy, history = GridSearch(), History(VALUE)
    first = propose(strategy, space, history, 0)
    assert first is not None
    history.add(Trial(0, first))
    for _ in range(2):
        with pytest.raises(AssertionError, match="2000 architectures in a row break the constraint no cost"):
            propose(strategy, space, history, 0)


@pytest.mark.parametrize("problem", [OSError("the disk"), KeyboardInterrupt()], ids=repr)
def test_grid_search_goes_on_after_an_error_within_its_walk(problem: BaseException) -> None:
    broken = [True]

    def accepts(architecture: Architecture) -> bool:
        if architecture["a"] == 3 and broken:
            raise problem
        return True

    space = SearchSpace([Choice("a", range(6)), Choice("b", range(4))]).where(accepts, "mine")
    search = Search(space, GridSearch(), lambda a: 1.0)
    for _ in range(2):
        with pytest.raises(type(problem)):
            search.run()
    broken.clear()
    assert len(search.run().history) == 24


def test_a_copied_or_pickled_strategy_starts_with_an_empty_cache() -> None:
    strategy = GridSearch()
    search = Simulation(strategy, SMALL).run(3)
    for clone in (copy.deepcopy(strategy), pickle.loads(pickle.dumps(strategy))):
        assert clone == strategy
        assert repr(clone) == "GridSearch()"
        assert propose(clone, SMALL, search.history, 0) == propose(strategy, SMALL, search.history, 0)


def test_random_search_draws_every_option_equally_often() -> None:
    space = SearchSpace(Choice(f"c{i}", ["a", "b", "c"]) for i in range(20))
    found = Simulation(RandomSearch(), space).run(600).architectures
    shares = space.encode(found).mean(axis=0)
    # 60 shares with a standard deviation of 0.019: one in 5,000 runs would leave 4.5 deviations.
    assert abs(shares - 1 / 3).max() < 4.5 * np.sqrt(2 / 9 / 600)


def test_unseen_looks_through_a_small_space_for_the_last_architecture() -> None:
    space = SearchSpace([Choice(f"c{i}", range(10)) for i in range(4)])
    last = space.canonical({f"c{i}": 7 for i in range(4)})
    history = History(VALUE)
    for number, architecture in enumerate(found for found in space if found != last):
        history.add(Trial(number, architecture))
    assert unseen(space, history, np.random.default_rng(0)) == last
    history.add(Trial(len(history), last))
    assert unseen(space, history, np.random.default_rng(0)) is None


def test_unseen_finds_a_needle_in_a_small_constrained_space() -> None:
    needle = {f"c{i}": 3 for i in range(4)}
    space = SearchSpace([Choice(f"c{i}", range(10)) for i in range(4)]).where(lambda found: found == needle, "needle")
    search = Simulation(RandomSearch(), space).run(10)
    assert search.architectures == [needle]
    assert search.ended


def test_unseen_refuses_a_constraint_that_nothing_satisfies() -> None:
    def refuse(_: object) -> bool:
        return False

    history, rng = History(VALUE), np.random.default_rng(0)
    with pytest.raises(InfeasibleError, match="None of the 12 architectures"):
        unseen(SMALL.where(refuse, "nothing"), history, rng)
    with pytest.raises(InfeasibleError, match=r"break the constraint nothing; 0 of 1000 tried .* \(0.00%\)"):
        unseen(HUGE.where(refuse, "nothing"), history, rng)


def test_unseen_says_that_a_large_space_has_too_few_accepted_architectures() -> None:
    space = HUGE.where(lambda found: len(set(found.values())) == 1, "all equal")
    history = History(VALUE)
    for number in range(4):
        history.add(Trial(number, space.canonical({choice.label: number for choice in HUGE.choices})))

    class KnowsTheFour(SearchSpace):
        def sample(self, rng: np.random.Generator) -> Architecture:
            return history[int(rng.integers(4))].architecture

    drawing = KnowsTheFour(space.choices, constraint=space.constraint)
    with pytest.raises(InfeasibleError, match="1000 draws in a row had been tried before, among 4 trials"):
        unseen(drawing, history, np.random.default_rng(0))


def test_unseen_prefers_children_and_falls_back_to_the_whole_space() -> None:
    history, rng = History(VALUE), np.random.default_rng(0)
    child = SMALL.canonical({"a": 2, "b": "y", "c": True})
    assert unseen(SMALL, history, rng, lambda: child) == child
    history.add(Trial(0, child))
    calls = iter(range(100))
    found = unseen(SMALL, history, rng, lambda: (next(calls), child)[1])
    assert found is not None
    assert found != child
    assert next(calls) == 50


def test_unseen_takes_neighbors_where_draws_are_the_same_again_and_again() -> None:
    space = SearchSpace(Choice(f"b{place}", ["usual", "rare"], weights=[999, 1]) for place in range(20))
    assert len(set(Simulation(RandomSearch(), space).run(60).architectures)) == 60


def test_random_search_ends_after_the_last_network_of_a_space_that_is_too_large_to_look_through() -> None:
    labels = [f"branch{place}" for place in range(11)]

    def ordered(found: Architecture) -> dict[str, object]:
        return dict(zip(labels, sorted(found.values()), strict=True))  # type: ignore[type-var]

    space = SearchSpace([Choice(label, ["conv", "pool", "skip"]) for label in labels], ordered)
    assert space.size == 3**11
    search = Simulation(RandomSearch(), space).run(90)
    assert len(set(search.architectures)) == 78  # multisets of 11 among 3
    assert search.ended
