from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from autopanoptic.nas import Choice, FairPaths, PathSampler, SandwichPaths, SearchSpace, UniformPaths
from autopanoptic.nas.supernet import paths
from autopanoptic.nas.supernet.fairness import fair_cycle

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
        found = paths_of(sampler, 12, 12 * cycle)
        for choice in MIXED.choices:
            counts = Counter(path[choice.label] for path in found)
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


def test_uniform_paths_of_one_batch_are_those_that_come_one_by_one() -> None:
    sampler = UniformPaths(MIXED, seed=2, cycle=3)
    assert (sampler.cycle, sampler.roles) == (3, ("random", "random", "random"))
    assert paths_of(sampler, 12) == paths_of(UniformPaths(MIXED, seed=2), 12)
    assert UniformPaths(MIXED).roles == ()
    with pytest.raises(ValueError, match="at least 1 path, not 0"):
        UniformPaths(MIXED, cycle=0)


def test_fair_paths_of_a_conditional_space(space: SearchSpace) -> None:
    sampler = FairPaths(space)
    found = paths_of(sampler, 4 * sampler.cycle)
    assert all(path in space for path in found)
    counts = Counter(path["op"] for path in found)
    assert counts["pool"] == counts["conv"]


def test_fair_paths_deal_conditional_choices_among_the_paths_that_make_them() -> None:
    kernels = [Choice("kernel", [3, 5, 7], ("op", "conv")), Choice("heads", [1, 2, 4, 8], ("op", "attention"))]
    space = SearchSpace([Choice("op", ["conv", "pool", "attention"]), *kernels])
    found = paths_of(FairPaths(space), 20 * FairPaths(space).cycle)
    for choice in kernels:
        counts = Counter(path[choice.label] for path in found if choice.label in path)
        assert set(counts) == set(choice.options)
        assert max(counts.values()) - min(counts.values()) <= 2


@pytest.mark.parametrize("length", [1, 5, 7, 12, 13])
def test_a_cycle_may_have_any_length(length: int) -> None:
    sampler = FairPaths(MIXED, seed=3, length=length)
    assert sampler.cycle == length
    whole = Counter(path["b"] for path in paths_of(sampler, 16 * length))
    assert max(whole.values()) - min(whole.values()) <= 1, "evened out over the cycles"
    for cycle in range(16):
        for choice in MIXED.choices:
            counts = Counter(path[choice.label] for path in paths_of(sampler, length, cycle * length))
            assert max(counts.values()) - min(counts[option] for option in choice.options) <= 1


def test_a_resumed_training_finds_its_path_without_dealing_all_before(monkeypatch: pytest.MonkeyPatch) -> None:
    dealt = []
    monkeypatch.setattr(paths, "fair_cycle", lambda *args, **kw: dealt.append(1) or fair_cycle(*args, **kw))
    FairPaths(MIXED).path(10**6)
    assert len(dealt) <= 16


def test_paths_keep_the_constraint() -> None:
    bound = MIXED.where(lambda a: sum(a.values()) <= 4, "a sum of at most 4")  # type: ignore[arg-type]
    smallest = dict.fromkeys("abcd", 0)
    sandwich = SandwichPaths(bound, {**smallest, "b": 4}, smallest)
    for sampler in (FairPaths(bound), UniformPaths(bound), sandwich):
        assert all(path in bound for path in paths_of(sampler, 100))
    for ends in (({**smallest, "b": 5}, smallest), (smallest, {**smallest, "b": 5})):
        with pytest.raises(ValueError, match=r"est path {'a': 0, 'b': 5, .* breaks the constraint a sum of at most 4"):
            SandwichPaths(bound, *ends)


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
