"""Local search: the contract, and whole searches."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
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
from autopanoptic.strategies import local_search
from autopanoptic.strategies.local_search import LocalSearch
from autopanoptic.strategies.testing import CHECKS, Check
from autopanoptic.strategies.testing.simulation import VALUE, Outcome, Simulation, propose, replay, score
from tests.outcomes import some_fail
from tests.spaces import nested_spaces

BITS = SearchSpace(Choice(label, [0, 1]) for label in "abc")
WIDE = SearchSpace(Choice(f"c{i}", range(5)) for i in range(8))
VARIANTS = [
    LocalSearch(initial=initial, full_neighborhood=full, at_optimum=at_optimum)
    for initial in (1, 3)
    for full in (False, True)
    for at_optimum in ("restart", "continue")
]


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


def test_an_interruption_while_a_trial_is_taken_in_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    space = SearchSpace(Choice(name, range(5)) for name in "abc")

    def value(architecture: Architecture) -> float:
        return float(architecture["a"] * 7 % 5 + architecture["b"] * 3 % 5 - architecture["c"])

    def searched(strategy: LocalSearch) -> list[Architecture]:
        search = Search(space, strategy, value, seed=4)
        while True:
            try:
                return [trial.architecture for trial in search.run(40).history]
            except KeyboardInterrupt:
                continue

    whole = searched(LocalSearch())
    ranked, calls = local_search._rank, list[int]()

    def interrupted(trial: Trial, history: History) -> Any:
        calls.append(1)
        if len(calls) in (5, 40):
            raise KeyboardInterrupt
        return ranked(trial, history)

    monkeypatch.setattr(local_search, "_rank", interrupted)
    assert searched(LocalSearch()) == whole
