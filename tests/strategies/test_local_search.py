from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopanoptic.nas.search.search import Search
from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Constraint, Objective
from autopanoptic.nas.trials.trial import Trial, TrialState
from autopanoptic.strategies.local_search import LocalSearch, Neighborhood
from autopanoptic.strategies.testing import CHECKS, Check
from autopanoptic.strategies.testing.simulation import VALUE, Outcome, Simulation, completed, propose, replay, score
from tests.spaces import nested_spaces

BITS = SearchSpace(Choice(label, [0, 1]) for label in "abc")
WIDE = SearchSpace(Choice(f"c{i}", range(5)) for i in range(8))
VARIANTS = [
    LocalSearch(initial=initial, full_neighborhood=full, at_optimum=at_optimum)
    for initial in (1, 3)
    for full in (False, True)
    for at_optimum in ("restart", "continue")
]


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


@pytest.mark.parametrize("strategy", VARIANTS, ids=repr)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_conforms(strategy: LocalSearch, check: Check) -> None:
    check(lambda: copy.deepcopy(strategy), max_trials=40)


def test_parameters_are_shown_and_compared_without_the_cache() -> None:
    assert repr(LocalSearch()) == "LocalSearch(initial=1, full_neighborhood=False, at_optimum='restart')"
    strategy = LocalSearch(initial=2)
    Simulation(strategy, WIDE).run(5)
    assert strategy == LocalSearch(initial=2) != LocalSearch()
    assert pickle.loads(pickle.dumps(strategy)) == strategy


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"initial": 0}, "initial to be a whole number of at least 1, not 0"),
        ({"initial": 1.5}, r"not 1\.5"),
        ({"full_neighborhood": 1}, "full_neighborhood to be True or False, not 1"),
        ({"at_optimum": "stop"}, "at_optimum to be 'restart' or 'continue', not 'stop'"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LocalSearch(**given)


def test_several_objectives_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one objective, not \['accuracy', 'latency'\].*NSGA2"):
        Search(WIDE, LocalSearch(), lambda a: 0.0, objectives={"accuracy": "max", "latency": "min"})


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


def test_every_move_is_to_a_better_trial_and_a_climb_ends_where_no_neighbor_is_better() -> None:
    rng = np.random.default_rng(5)
    table = {architecture: float(rng.random()) for architecture in SearchSpace(WIDE.choices[:4])}
    space = SearchSpace(WIDE.choices[:4])
    strategy = LocalSearch()
    search = Simulation(strategy, space, outcome=lambda t: (TrialState.COMPLETED, {"value": table[t.architecture]}))
    tops: list[Trial] = []
    ends: list[int] = []
    previous = None
    while len(search.history) < 400:
        search.step(400)
        current = strategy.incumbent(space, search.history)
        if previous is not None and current is None:
            tops.append(previous)
            ends.append(len(search.history))
        elif previous is not None and current is not None and current.id != previous.id:
            assert table[current.architecture] > table[previous.architecture]
        previous = current
    assert len(tops) > 5
    for number, top in enumerate(tops):
        earlier = {trial.architecture for trial in search.history[: ends[number - 1]]} if number else set()
        neighbors = set(space.neighbors(top.architecture))
        assert neighbors <= {trial.architecture for trial in search.history[: ends[number]]}
        assert all(table[neighbor] < table[top.architecture] for neighbor in neighbors - earlier)
    assert any(table[top.architecture] < table[tops[0].architecture] for top in tops[1:]), "climbs are independent"


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


def test_a_climb_does_not_depend_on_when_trials_were_asked_for() -> None:
    strategy = LocalSearch()
    search = Simulation(strategy, WIDE, workers=6).run(150)
    ended = [trial for trial in search.events if trial.state is not TrialState.RUNNING]
    asked = [trial for trial in search.events if trial.state is TrialState.RUNNING]
    at_once = replay(VALUE, [*asked, *ended])
    assert strategy.incumbent(WIDE, at_once) == strategy.incumbent(WIDE, search.history)


def test_the_cache_changes_nothing() -> None:
    for strategy in VARIANTS:
        warm = Simulation(copy.deepcopy(strategy), WIDE, workers=5).run(120)
        for events, expected in warm.calls[::7]:
            assert propose(copy.deepcopy(strategy), WIDE, replay(VALUE, warm.events[:events]), 0) == expected


@pytest.mark.parametrize("strategy", VARIANTS[::3], ids=repr)
def test_a_resumed_search_proposes_the_same(strategy: LocalSearch, tmp_path: Path) -> None:
    def search(journal: Path | None) -> Search:
        return Search(WIDE, copy.deepcopy(strategy), score, journal=journal, initial=[next(iter(WIDE))], seed=3)

    whole = search(None).run(90).history
    for trials in (1, 2, 40, 90):
        part = search(tmp_path / "j").run(trials).history
    assert [trial.architecture for trial in part] == [trial.architecture for trial in whole]


def test_it_finds_the_optimum_of_a_separable_function() -> None:
    best = sum(max(score(Architecture({f"c{i}": option})) for option in range(5)) for i in range(8))
    for strategy in VARIANTS:
        found = Simulation(copy.deepcopy(strategy), WIDE).run(330).history.best
        assert found is not None
        assert found.metrics["value"] == pytest.approx(best)


def test_a_broken_constraint_is_worse_than_any_value() -> None:
    limit = [Constraint("cost", None, 1.0)]

    def outcome(trial: Trial) -> Outcome:
        return TrialState.COMPLETED, {"value": score(trial.architecture), "cost": float(trial.architecture["c0"])}

    strategy = LocalSearch()
    search = Simulation(strategy, WIDE, outcome=outcome, constraints=limit)
    previous = None
    for _ in range(200):
        search.step(200)
        current = strategy.incumbent(WIDE, search.history)
        if previous is not None and current is not None and current.id != previous.id:
            old, new = previous.metrics, current.metrics
            if new["cost"] > 1:
                assert new["cost"] < old["cost"], "on the way to what is allowed the violation shrinks"
            else:
                assert old["cost"] > 1 or new["value"] > old["value"]
        previous = current
    assert previous is not None
    assert previous.metrics["cost"] <= 1


def test_a_constraint_is_asked_of_few_neighbors() -> None:
    asked: list[Architecture] = []

    def accept(architecture: Architecture) -> bool:
        asked.append(architecture)
        return True

    strategy = LocalSearch()
    space = SearchSpace(Choice(f"c{i}", range(5)) for i in range(49)).where(accept, "anything")
    history = History(VALUE)
    start = space.sample(np.random.default_rng(0))
    history.add(Trial(0, start))
    history.update(Trial(0, start, TrialState.COMPLETED, {"value": 0.0}))
    asked.clear()
    assert strategy.propose(space, history, np.random.default_rng(1)) is not None
    assert len(asked) <= 2, "of 196 neighbours"


def symmetric(space: SearchSpace) -> SearchSpace:
    """Make the first two options of the first choice one network."""
    label, options = space.choices[0].label, space.choices[0].options
    conditions = {option for choice in space.choices for _, allowed in choice.conditions for option in allowed}
    if len(options) < 2 or conditions & {options[0], options[1]}:
        return space
    return SearchSpace(
        space.choices, lambda found: {**found, label: options[0] if found[label] == options[1] else found[label]}
    )


@settings(max_examples=40, deadline=None)
@given(space=nested_spaces(), seed=st.integers(0, 2**32), restricted=st.booleans())
def test_a_neighborhood_is_that_of_the_space(space: SearchSpace, seed: int, restricted: bool) -> None:
    rng = np.random.default_rng(seed)
    space = symmetric(space)
    center = space.sample(rng)
    if restricted:
        space = space.where(lambda found: found == center or len(repr(found)) % 3 > 0, "two of three")
    history = History(VALUE)
    history.add(Trial(0, center))
    history.update(Trial(0, center, TrialState.COMPLETED, {"value": 0.0}))
    neighborhood, found = Neighborhood(space, center), []
    while (neighbor := neighborhood.untried(history, rng.random(50))) is not None:
        assert not neighborhood.all_ended(history, set(range(len(history))))
        found.append(neighbor)
        history.add(Trial(len(history), neighbor))
    assert len(found) == len(set(found))
    assert set(found) == set(space.neighbors(center))
    assert neighborhood.all_ended(history, set(range(len(history))))
    assert Neighborhood(space, center).all_ended(history, {0}) == (not found)


def some_fail(trial: Trial) -> Outcome:
    return (TrialState.FAILED, {}) if trial.id % 4 == 1 else completed(trial)


@settings(max_examples=40, deadline=None)
@given(
    space=nested_spaces(),
    seed=st.integers(0, 2**32),
    workers=st.integers(1, 5),
    initial=st.integers(1, 4),
    full=st.booleans(),
    at_optimum=st.sampled_from(["restart", "continue"]),
)
def test_searches_are_valid_cover_the_space_and_resume(
    space: SearchSpace, seed: int, workers: int, initial: int, full: bool, at_optimum: Literal["restart", "continue"]
) -> None:
    make: Callable[[], LocalSearch] = lambda: LocalSearch(initial, full, at_optimum)  # noqa: E731
    search = Simulation(make(), space, seed, outcome=some_fail, workers=workers).run(60)
    assert len(search.history) == min(60, space.size)
    for events, expected in search.calls[:: max(1, len(search.calls) // 5)]:
        assert propose(make(), space, replay(search.objectives, search.events[:events]), seed) == expected


@pytest.mark.parametrize("direction", ["max", "min"])
def test_a_budget_larger_than_the_space_ends_with_the_space(direction: str) -> None:
    one = SearchSpace([Choice("a", ["only"])])
    for space in (one, BITS):
        result = Search(space, LocalSearch(), len, objectives=[Objective("value", direction)]).run(1000)
        assert len(result.history) == space.size
        assert result.ended == "strategy"
