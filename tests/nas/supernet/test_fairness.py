from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.constrained import InfeasibleError
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.supernet.fairness import cycle_length, fair_cycle, short_cycle_length, uses_of
from tests.spaces import nested_spaces

PANOPTIC = SearchSpace([Choice("block", range(4)), Choice("head", range(6)), Choice("fuse", range(3))])


@pytest.mark.parametrize(("counts", "length"), [([4, 6, 3], 12), ([3, 3], 3), ([1], 1), ([], 1), ([2, 5, 7], 70)])
def test_cycle_length_is_the_least_common_multiple(counts: list[int], length: int) -> None:
    assert cycle_length(SearchSpace(Choice(f"c{n}", range(count)) for n, count in enumerate(counts))) == length


@pytest.mark.parametrize("seed", range(5))
def test_every_option_of_a_choice_stands_equally_often(seed: int) -> None:
    cycle = fair_cycle(PANOPTIC, np.random.default_rng(seed))
    assert len(cycle) == 12
    for choice in PANOPTIC.choices:
        dealt = [architecture[choice.label] for architecture in cycle]
        assert Counter(dealt) == {option: 12 // len(choice.options) for option in choice.options}
        for start in range(0, 12, len(choice.options)):
            assert set(dealt[start : start + len(choice.options)]) == set(choice.options), "round by round"


def test_cycles_depend_on_the_generator_alone() -> None:
    one, same, other = (fair_cycle(PANOPTIC, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert one == same
    assert one != other


def test_choices_are_independent() -> None:
    pairs = Counter(
        (architecture["block"], architecture["head"])
        for seed in range(200)
        for architecture in fair_cycle(PANOPTIC, np.random.default_rng(seed))
    )
    # 2,400 pairs over 24 cells, 100 each.
    assert len(pairs) == 24
    assert max(abs(count - 100) for count in pairs.values()) < 45


def test_architectures_of_a_nested_space_are_canonical() -> None:
    space = SearchSpace([Choice("op", ["conv", "pool"]), Choice("kernel", [3, 5, 7], ("op", "conv"))])
    cycle = fair_cycle(space, np.random.default_rng(0))
    assert Counter(architecture["op"] for architecture in cycle) == {"conv": 3, "pool": 3}
    assert all(space.canonical(architecture) == architecture for architecture in cycle)
    assert all(("kernel" in architecture) == (architecture["op"] == "conv") for architecture in cycle)


def spread(members: list[Architecture], space: SearchSpace) -> int:
    """The largest difference between the uses of a choice's options."""
    uses = uses_of(members)
    return max(
        (max(counts) - min(counts) for counts in ([uses[c.label, o] for o in c.options] for c in space.choices)),
        default=0,
    )


@given(space=nested_spaces(), length=st.integers(1, 20), seed=st.integers(0, 100))
@settings(max_examples=60, deadline=None)
def test_uses_differ_by_at_most_one_whatever_the_length(space: SearchSpace, length: int, seed: int) -> None:
    cycle = fair_cycle(space, np.random.default_rng(seed), length)
    assert len(cycle) == length
    assert all(architecture in space for architecture in cycle)
    assert spread(cycle, space) <= 1


@pytest.mark.parametrize(("counts", "length"), [([4, 6, 3], 12), ([4, 7, 3], 7), ([2, 3], 6), ([7, 8, 9, 11, 13], 13)])
def test_a_seventh_option_makes_no_long_cycle(counts: list[int], length: int) -> None:
    space = SearchSpace(Choice(f"c{n}", range(count)) for n, count in enumerate(counts))
    assert short_cycle_length(space) == length
    assert len(fair_cycle(space, np.random.default_rng(0))) == length


def test_options_that_had_the_worst_of_it_go_first() -> None:
    space = SearchSpace([Choice("c", range(5))])
    before = Counter({("c", 0): 2, ("c", 1): 2, ("c", 2): 1, ("c", 3): 2, ("c", 4): 1})
    cycle = fair_cycle(space, np.random.default_rng(0), 2, before)
    assert {architecture["c"] for architecture in cycle} == {2, 4}


def test_a_cycle_keeps_the_constraint_and_is_as_fair_as_it_allows() -> None:
    space = PANOPTIC.where(lambda a: a["block"] + a["head"] + a["fuse"] != 10, "not the last of everything")
    for seed in range(20):
        cycle = fair_cycle(space, np.random.default_rng(seed))
        assert all(space.accepts(architecture) for architecture in cycle)
        assert spread(cycle, space) <= 2


def test_a_constraint_that_refuses_everything_ends_in_an_error() -> None:
    with pytest.raises(InfeasibleError, match="break the constraint nothing"):
        fair_cycle(PANOPTIC.where(lambda _: False, "nothing"), np.random.default_rng(0))


@pytest.mark.parametrize("length", [0, -1, 2.0, True])
def test_a_length_that_is_none_is_refused(length: object) -> None:
    with pytest.raises(ValueError, match="length of a fair cycle must be a whole number of at least 1"):
        fair_cycle(PANOPTIC, np.random.default_rng(0), length)  # type: ignore[arg-type]
