"""Strategies and the scoreboard over random nested spaces."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.strategies import (
    NSGA2,
    Evolution,
    GridSearch,
    LocalSearch,
    PathPriority,
    RandomSearch,
    RegularizedEvolution,
    Strategy,
)
from autopanoptic.strategies.path_priority.scoreboard import best_first, centred, climb, climbs, total_of
from autopanoptic.strategies.testing.simulation import Simulation, propose, replay
from tests.outcomes import some_fail
from tests.spaces import nested_spaces

MAKE: list[Callable[[], Strategy]] = [
    RandomSearch,
    GridSearch,
    lambda: Evolution(population=6, parents=3),
    lambda: RegularizedEvolution(population=6, sample=2),
    lambda: LocalSearch(initial=2),
    lambda: LocalSearch(full_neighborhood=True, at_optimum="continue"),
    lambda: NSGA2(population=6),
    lambda: PathPriority(cycles=2, top=2),
    lambda: PathPriority(cycles=2, top=3, answer="sum"),
]


@pytest.mark.parametrize("make", MAKE, ids=lambda make: repr(make()))
@settings(max_examples=25, deadline=None)
@given(space=nested_spaces(), seed=st.integers(0, 2**32), workers=st.integers(1, 5))
def test_searches_are_valid_end_and_resume(
    make: Callable[[], Strategy], space: SearchSpace, seed: int, workers: int
) -> None:
    search = Simulation(make(), space, seed, outcome=some_fail, workers=workers).run(40)
    assert search.ended or len(search.history) == 40
    events, expected = search.calls[len(search.calls) // 2]
    assert propose(make(), space, replay(search.objectives, search.events[:events]), seed) == expected
    if search.ended and not isinstance(search.strategy, PathPriority):
        assert len(search.history) == space.size


@pytest.mark.parametrize("make", MAKE, ids=lambda make: repr(make()))
@settings(max_examples=10, deadline=None)
@given(space=nested_spaces(), seed=st.integers(0, 100), data=st.data())
def test_constrained_searches_are_valid_and_end(
    make: Callable[[], Strategy], space: SearchSpace, seed: int, data: st.DataObject
) -> None:
    every = list(space)
    allowed = data.draw(st.sets(st.sampled_from(every), min_size=1)) if len(every) < 200 else set(every[::3])
    search = Simulation(make(), space.where(lambda found: found in allowed, "allowed"), seed, workers=2).run(30)
    assert set(search.architectures) <= allowed
    if search.ended and not isinstance(search.strategy, PathPriority):
        assert set(search.architectures) == allowed


@settings(max_examples=40, deadline=None)
@given(space=nested_spaces(), seed=st.integers(0, 2**32))
def test_best_first_yields_every_architecture_by_its_sum(space: SearchSpace, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = {choice.label: {option: float(rng.integers(9)) for option in choice.options} for choice in space.choices}
    total = total_of(centred(scores))
    found = list(best_first(space, scores))
    assert sorted(found, key=repr) == sorted(space, key=repr)
    sums = [total(architecture) for architecture in found]
    assert all(later <= sum_ + 1e-9 for sum_, later in itertools.pairwise(sums))


@settings(max_examples=40, deadline=None)
@given(space=nested_spaces(), seed=st.integers(0, 2**32))
def test_climb_ends_where_no_accepted_neighbour_is_better(space: SearchSpace, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = {choice.label: {option: float(rng.integers(9)) for option in choice.options} for choice in space.choices}
    start = space.sample(rng)
    part = space.where(lambda found: found == start or hash(found) % 3 > 0, "two of three")
    total = total_of(centred(scores))
    top = climb(part, scores, start)
    assert part.accepts(top)
    assert total(top) >= total(start)
    flat = [other for other in part.neighbors(top) if other.keys() == top.keys()]
    assert all(total(other) <= total(top) or math.isclose(total(other), total(top)) for other in flat)


def test_climbs_begin_at_the_largest_sums_and_yield_the_largest_first() -> None:
    space = SearchSpace(Choice(f"c{i}", range(4)) for i in range(12)).where(
        lambda found: sum(map(int, found.values())) <= 12, "12"
    )
    rng = np.random.default_rng(0)
    scores = {choice.label: {option: float(rng.integers(99)) for option in choice.options} for choice in space.choices}
    total = total_of(centred(scores))
    starts = sorted((space.sample(rng) for _ in range(12)), key=total)
    assert list(climbs(space, scores, starts, 1)) == [climb(space, scores, starts[-1])]
    reached = [climb(space, scores, start) for start in starts[-4:]]
    assert len(set(reached)) > 1
    assert list(map(total, climbs(space, scores, starts, 4))) == sorted(map(total, reached), reverse=True)
