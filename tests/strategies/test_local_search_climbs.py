"""How a climb of local search moves, where it ends, and where the next begins."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import Trial, TrialState
from autopanoptic.strategies.local_search import LocalSearch
from autopanoptic.strategies.testing.simulation import VALUE, propose

BITS = SearchSpace(Choice(label, [0, 1]) for label in "abc")


def bits(text: str) -> Architecture:
    return Architecture(dict(zip("abc", map(int, text), strict=True)))


def text(architecture: Architecture | None) -> str:
    assert architecture is not None
    return "".join(str(option) for option in architecture.values())


class Landscape:
    """A search of ``BITS`` that begins at a given architecture, and whose trials have the values of a table."""

    def __init__(self, strategy: LocalSearch, values: Mapping[str, float], start: str = "000", seed: int = 0) -> None:
        self.strategy, self.values, self.seed = strategy, values, seed
        self.history = History(VALUE)
        self.give(start)

    def give(self, architecture: str) -> None:
        self.history.add(Trial(len(self.history), bits(architecture)))
        self.end(architecture)

    def ask(self) -> str:
        proposed = propose(self.strategy, BITS, self.history, self.seed)
        assert proposed is not None
        self.history.add(Trial(len(self.history), proposed))
        return text(proposed)

    def end(self, architecture: str) -> None:
        trial = self.history.trial_of(bits(architecture))
        assert trial is not None
        value = self.values.get(architecture)
        state = TrialState.FAILED if value is None else TrialState.COMPLETED
        metrics = {} if value is None else {"value": value}
        self.history.update(Trial(trial.id, trial.architecture, state, metrics))

    def next(self) -> str:
        architecture = self.ask()
        self.end(architecture)
        return architecture

    @property
    def incumbent(self) -> str | None:
        found = self.strategy.incumbent(BITS, self.history)
        return None if found is None else text(found.architecture)


HILL = {"000": 0.0, "100": 2, "010": 1, "001": 0.5, "110": 3, "101": 1.5, "011": 0, "111": 4}


@pytest.mark.parametrize("seed", range(5))
def test_the_full_neighborhood_is_tried_before_the_climb_moves_to_the_best(seed: int) -> None:
    search = Landscape(LocalSearch(full_neighborhood=True), HILL, seed=seed)
    assert search.incumbent == "000"
    assert {search.next() for _ in range(3)} == {"100", "010", "001"}
    assert search.incumbent == "100"
    assert {search.next() for _ in range(2)} == {"110", "101"}
    assert search.incumbent == "110"
    assert search.next() == "111", "its other neighbours, 100 and 010, are known"
    assert search.incumbent == "111"
    assert search.next() == "011", "the last neighbour of the optimum"
    assert propose(search.strategy, BITS, search.history, seed) is None
    assert search.incumbent is None, "it would restart"


@pytest.mark.parametrize("seed", range(5))
def test_the_climb_moves_to_the_first_better_neighbor(seed: int) -> None:
    search = Landscape(LocalSearch(), {**HILL, "100": -1, "010": -2}, seed=seed)
    tried = [search.next()]
    while tried[-1] != "001":
        assert search.incumbent == "000"
        tried.append(search.next())
    assert search.incumbent == "001"
    following = search.next()
    assert following in {"101", "011"}, "000 is known"
    assert len(set(tried)) == len(tried) <= 3


def test_neighbors_come_in_random_order() -> None:
    firsts = {Landscape(LocalSearch(), HILL, seed=seed).next() for seed in range(20)}
    assert firsts == {"100", "010", "001"}


TRAP = {"000": 5.0, "100": 1, "010": 2, "001": 3, "110": 4, "101": 0, "011": 0, "111": 9}


def test_at_an_optimum_it_restarts_at_random() -> None:
    found = set()
    for seed in range(30):
        search = Landscape(LocalSearch(), TRAP, seed=seed)
        assert {search.next() for _ in range(3)} == {"100", "010", "001"}
        assert search.incumbent is None, "000 is a local optimum"
        found.add(search.next())
        assert search.incumbent in found, "wherever the climb begins, though 000 is better"
    assert found == {"110", "101", "011", "111"}


def test_at_an_optimum_it_may_continue_from_the_next_best() -> None:
    for seed in range(10):
        search = Landscape(LocalSearch(at_optimum="continue"), TRAP, seed=seed)
        assert {search.next() for _ in range(3)} == {"100", "010", "001"}
        assert search.incumbent == "001"
        assert search.next() in {"101", "011"}, "both are worse than 001"
        assert search.next() in {"101", "011"}
        assert search.incumbent == "010"
        assert search.next() == "110"
        assert search.incumbent == "110", "it is better than 010"
        assert search.next() == "111"


def test_a_climb_begins_at_the_best_of_several_trials() -> None:
    search = Landscape(LocalSearch(initial=3), {**HILL, "011": 10}, start="000")
    search.give("110")
    assert search.incumbent is None
    search.give("101")
    assert search.incumbent == "110"
    search.give("011")
    assert search.incumbent == "011", "a later one that the user gave is moved to where it is better"


def test_equal_neighbors_are_no_improvement() -> None:
    search = Landscape(LocalSearch(), dict.fromkeys(HILL, 1.0))
    for _ in range(3):
        assert search.incumbent == "000"
        search.next()
    assert search.incumbent is None


def test_a_climb_does_not_move_to_what_an_earlier_one_has_tried() -> None:
    values = {"000": 5.0, "100": 1, "010": 2, "001": 3, "110": 0, "101": -1, "011": -1, "111": -2}
    search = Landscape(LocalSearch(), values)
    for _ in range(3):
        search.next()
    search.give("110")  # in place of a random restart; its neighbours 100 and 010 are better and known
    assert search.incumbent == "110"
    assert search.next() == "111"
    assert search.incumbent is None


def test_failed_neighbors_are_passed_over_and_a_failed_start_is_replaced() -> None:
    for seed in range(5):
        search = Landscape(LocalSearch(), {"011": 1.0, "111": 2.0}, seed=seed)
        while search.incumbent is None:
            assert search.history.n_completed == 0
            start = search.next()
        assert search.incumbent == start
        if start == "011":
            neighbors = [neighbor for neighbor in ("001", "010", "111") if bits(neighbor) not in search.history]
            while search.incumbent == "011":
                neighbors.remove(search.next())
        assert search.incumbent in ("111", None)
        while len(search.history) < 8:
            search.next()
        assert propose(search.strategy, BITS, search.history, seed) is None


def test_workers_try_other_neighbors_and_begin_the_next_climb_rather_than_wait() -> None:
    search = Landscape(LocalSearch(), TRAP)
    assert {search.ask() for _ in range(3)} == {"100", "010", "001"}
    restart = search.ask()
    assert restart in {"110", "101", "011", "111"}
    for neighbor in ("100", "010", "001"):
        assert search.incumbent == "000"
        search.end(neighbor)
    assert search.incumbent is None
    search.end(restart)
    assert search.incumbent == restart


def test_the_next_climb_begins_anywhere_not_near_a_worse_member() -> None:
    found = set()
    for seed in range(30):
        search = Landscape(LocalSearch(), TRAP, seed=seed)
        assert {search.ask() for _ in range(3)} == {"100", "010", "001"}
        search.end("001")
        found.add(search.ask())
    assert found == {"110", "101", "011", "111"}, "also 110, which is no neighbour of 001"


def test_workers_look_ahead_from_the_best_neighbor_so_far() -> None:
    search = Landscape(LocalSearch(full_neighborhood=True), HILL)
    assert {search.ask() for _ in range(3)} == {"100", "010", "001"}
    search.end("100")
    search.end("010")
    assert search.incumbent == "000", "001 still runs"
    assert {search.ask() for _ in range(2)} == {"110", "101"}, "neighbours of 100, to which it would move"
    assert search.ask() == "011", "a neighbour of 010"
