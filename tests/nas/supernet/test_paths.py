from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from autopanoptic.nas import Choice, FairPaths, PathSampler, SandwichPaths, SearchSpace, UniformPaths

MIXED = SearchSpace([Choice("a", range(4)), Choice("b", range(6)), Choice("c", range(3)), Choice("d", [0])])


def paths_of(sampler: PathSampler, count: int, start: int = 0) -> list[Any]:
    return [sampler.path(step) for step in range(start, start + count)]


@pytest.mark.parametrize("kind", [UniformPaths, FairPaths])
def test_path_depends_on_seed_and_step_alone(kind: Any) -> None:
    first, second, other = kind(MIXED, seed=5), kind(MIXED, seed=5), kind(MIXED, seed=6)
    forwards = paths_of(first, 60)
    assert [second.path(step) for step in reversed(range(60))] == forwards[::-1]
    assert paths_of(other, 60) != forwards
    assert all(path in MIXED for path in forwards)


def test_fair_cycle_uses_every_option_equally_often() -> None:
    sampler = FairPaths(MIXED, seed=1)
    assert sampler.cycle == 12
    for cycle in range(5):
        paths = paths_of(sampler, 12, 12 * cycle)
        for choice in MIXED.choices:
            counts = Counter(path[choice.label] for path in paths)
            assert counts == dict.fromkeys(choice.options, 12 // len(choice.options))
    assert paths_of(sampler, 12) != paths_of(sampler, 12, 12)


def test_fair_choices_are_independent() -> None:
    pairs = Counter((path["a"], path["c"]) for path in paths_of(FairPaths(MIXED), 1200))
    assert len(pairs) == 12
    assert max(pairs.values()) < 2 * min(pairs.values())


def test_uniform_paths_are_uniform() -> None:
    counts = Counter(path["b"] for path in paths_of(UniformPaths(MIXED), 3000))
    assert set(counts) == set(range(6))
    assert all(abs(count - 500) < 100 for count in counts.values())
    assert UniformPaths(MIXED).cycle == 1


def test_fair_paths_of_a_conditional_space(space: SearchSpace) -> None:
    sampler = FairPaths(space)
    paths = paths_of(sampler, 4 * sampler.cycle)
    assert all(path in space for path in paths)
    counts = Counter(path["op"] for path in paths)
    assert counts["pool"] == counts["conv"]


def test_sandwich() -> None:
    largest = {"a": 3, "b": 5, "c": 2, "d": 0}
    smallest = {"a": 0, "b": 0, "c": 0, "d": 0}
    sampler = SandwichPaths(MIXED, largest, smallest, random=3, seed=2)
    assert sampler.cycle == 5
    for start in (0, 5, 50):
        first, second, *rest = paths_of(sampler, 5, start)
        assert (first, second) == (largest, smallest)
        assert len(set(rest)) > 1
    assert paths_of(sampler, 5)[2:] != paths_of(sampler, 5, 5)[2:]
    assert paths_of(SandwichPaths(MIXED, largest, smallest, random=0), 4) == [largest, smallest] * 2


def test_sandwich_is_checked() -> None:
    good = {"a": 3, "b": 5, "c": 2, "d": 0}
    with pytest.raises(ValueError, match="no option 9"):
        SandwichPaths(MIXED, {**good, "a": 9}, good)
    with pytest.raises(ValueError, match="must not be negative"):
        SandwichPaths(MIXED, good, good, random=-1)
