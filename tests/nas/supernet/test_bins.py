"""Paths that are spread evenly over bins of a cost."""

from __future__ import annotations

import pickle
from collections import Counter

import numpy as np
import pytest

from autopanoptic.nas import Architecture, BinnedPaths, Choice, SearchSpace, UniformPaths

SPACE = SearchSpace(Choice(f"c{index}", range(4)) for index in range(12))


def total(path: Architecture) -> float:
    return float(sum(path.values()))


def bins_of(sampler: BinnedPaths, costs: list[float]) -> Counter[int]:
    return Counter(next(k for k, high in enumerate(sampler.edges[1:]) if cost < high) for cost in costs)


@pytest.mark.parametrize("bins", [5, np.int64(5)])
def test_each_bin_is_met_equally_often_in_every_turn(bins: int) -> None:
    sampler = BinnedPaths(SPACE, total, bins=bins, seed=3)
    assert len(sampler.edges) == 6
    costs = [total(sampler.path(step)) for step in range(200)]
    assert all(sampler.edges[0] <= cost < sampler.edges[-1] for cost in costs)
    for first in range(0, 200, 5):
        assert bins_of(sampler, costs[first : first + 5]) == dict.fromkeys(range(5), 1)
    orders = {tuple(sampler.bin(step)[0] for step in range(first, first + 5)) for first in range(0, 200, 5)}
    assert len(orders) > 10
    # Of uniform paths the outer bins get a small part.
    uniform = [total(UniformPaths(SPACE, seed=3).path(step)) for step in range(200)]
    assert bins_of(sampler, [cost for cost in uniform if cost < sampler.edges[-1]])[0] < 30


def test_bins_by_their_bounds_hold_the_lower_one() -> None:
    sampler = BinnedPaths(SPACE, total, bins=[14, 16, 18], seed=1)
    assert sampler.edges == (14.0, 16.0, 18.0)
    found = Counter(total(sampler.path(step)) for step in range(400))
    assert set(found) == {14.0, 15.0, 16.0, 17.0}
    assert found[14.0] + found[15.0] == 200


def test_within_a_bin_every_path_is_as_likely() -> None:
    space = SearchSpace([Choice("a", range(3)), Choice("b", range(3))])
    sampler = BinnedPaths(space, total, bins=[2, 3])
    found = Counter(tuple(sampler.path(step).values()) for step in range(600))
    assert set(found) == {(0, 2), (1, 1), (2, 0)}
    assert all(150 < count < 250 for count in found.values())


def test_a_path_depends_on_seed_and_step_alone() -> None:
    first, other = BinnedPaths(SPACE, total, seed=5), BinnedPaths(SPACE, total, seed=6)
    forwards = [first.path(step) for step in range(40)]
    again = pickle.loads(pickle.dumps(first))
    assert [again.path(step) for step in reversed(range(40))] == forwards[::-1]
    assert [other.path(step) for step in range(40)] != forwards
    assert all(path in SPACE for path in forwards)
    assert first.cycle == 1


@pytest.mark.parametrize(
    ("bins", "message"),
    [
        (0, "At least 1 bin is needed, not 0"),
        ([18], r"at least two ascending numbers, not \[18\]"),
        ([18, 16], r"ascending numbers, not \[18, 16\]"),
        ([16, 18, 90, 95], r"costs between 90 and 95: they cost \d+ to \d+, half of them 1\d to 2\d\. Take fewer"),
    ],
)
def test_bins_that_cannot_be_filled_are_refused(bins: int | list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BinnedPaths(SPACE, total, bins)


def test_paths_of_one_cost_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Nearly all paths cost 1, so there is nothing to spread\. Use UniformPaths"):
        BinnedPaths(SPACE, lambda path: 1.0)
