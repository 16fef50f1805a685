from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.supernet.fairness import cycle_length, fair_cycle

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
