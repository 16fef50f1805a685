from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopanoptic.nas import Architecture, Choice, InfeasibleError, SearchSpace, extremes
from tests.spaces import nested_spaces

SPACE = SearchSpace(
    [
        Choice("op", ["conv", "pool", "attention"]),
        Choice("kernel", [3, 5, 7], ("op", "conv")),
        Choice("heads", [1, 2, 8], ("op", "attention")),
        Choice("wide", [False, True], ("heads", (2, 8))),
        Choice("width", [8, 16, 32]),
    ]
)
COSTS: dict[tuple[str, Any], float] = {
    ("op", "conv"): 5, ("op", "pool"): 8, ("op", "attention"): 0, ("kernel", 3): 0, ("kernel", 5): 4, ("kernel", 7): 7,
    ("heads", 1): 1, ("heads", 2): 2, ("heads", 8): 6, ("wide", False): 0, ("wide", True): 9, ("width", 8): 1,
    ("width", 16): 2, ("width", 32): 4,
}  # fmt: skip


def cost(architecture: Architecture) -> float:
    return sum(COSTS[item] for item in architecture.items())


def brute_force(space: SearchSpace, of: Callable[[Architecture], float]) -> tuple[float, float]:
    found = [of(architecture) for architecture in space]
    return max(found), min(found)


def test_the_ends_of_a_conditional_space() -> None:
    found = extremes(SPACE, cost)
    assert found.largest == {"op": "attention", "heads": 8, "wide": True, "width": 32}, "what only pays with two more"
    assert found.smallest == {"op": "attention", "heads": 1, "width": 8}
    assert (cost(found.largest), cost(found.smallest)) == brute_force(SPACE, cost)


def test_what_the_first_option_turns_on_counts_for_it() -> None:
    space = SearchSpace(
        [
            Choice("root", ["without", "with"]),
            Choice("branch", ["a", "b"], ("root", "with")),
            Choice("leaf", [0, 3], ("branch", "a")),
        ]
    )
    costs = {"without": 1, "with": 0, "a": 0, "b": 0.5, 0: 0, 3: 3}
    assert extremes(space, lambda found: sum(costs[item] for item in found.values())).largest == {
        "root": "with", "branch": "a", "leaf": 3,
    }  # fmt: skip


def single_parents(space: SearchSpace) -> SearchSpace:
    """Return the space with the first condition of each choice alone."""
    return SearchSpace(Choice(c.label, c.options, c.conditions[:1]) for c in space.choices)


@settings(deadline=None, max_examples=60)
@given(nested_spaces(), st.integers(0, 99))
def test_sums_over_a_tree_have_their_very_ends(space: SearchSpace, seed: int) -> None:
    tree, rng = single_parents(space), np.random.default_rng(seed)
    costs = {(c.label, option): float(rng.normal()) for c in tree.choices for option in c.options}
    found = extremes(tree, lambda architecture: sum(costs[item] for item in architecture.items()))
    of = [sum(costs[item] for item in end.items()) for end in found]
    assert of == pytest.approx(brute_force(tree, lambda found: sum(costs[item] for item in found.items())))


@settings(deadline=None, max_examples=60)
@given(nested_spaces(), st.integers(0, 99), st.floats(0.3, 1))
def test_no_other_option_of_one_choice_betters_what_is_found(space: SearchSpace, seed: int, share: float) -> None:
    def hashed(architecture: Architecture) -> float:
        return float(np.random.default_rng([seed, int(architecture.id, 16)]).random())

    bound = space.where(lambda architecture: int(architecture.id, 16) % 1000 < 1000 * share, "a share")
    if not any(bound.accepts(architecture) for architecture in space):
        return
    largest, smallest = extremes(bound, hashed)
    assert largest in bound
    assert smallest in bound
    assert all(hashed(other) <= hashed(largest) for other in bound.neighbors(largest))
    assert all(hashed(other) >= hashed(smallest) for other in bound.neighbors(smallest))


def test_a_constraint_bounds_the_largest() -> None:
    space = SearchSpace(Choice(f"w{n}", [1, 2, 3, 4]) for n in range(12))

    def size(architecture: Architecture) -> float:
        return float(sum(architecture.values()))  # type: ignore[arg-type]

    bound = space.where(lambda architecture: 20 <= size(architecture) <= 30, "20 to 30")
    largest, smallest = extremes(bound, size)
    assert (size(largest), size(smallest)) == (30, 20)
    assert extremes(space, size) == (dict.fromkeys(largest, 4), dict.fromkeys(largest, 1))


def test_a_cost_is_worked_out_once_for_each_architecture_and_seldom() -> None:
    space = SearchSpace(Choice(f"w{n}", range(5)) for n in range(40))
    asked: list[Architecture] = []

    def size(architecture: Architecture) -> float:
        asked.append(architecture)
        return float(sum(architecture.values()))  # type: ignore[arg-type]

    extremes(space, size)
    assert len(set(asked)) == len(asked) <= 3 * 40 * 5


def test_symmetric_architectures() -> None:
    pair = SearchSpace(
        [Choice("a", [1, 2, 3]), Choice("b", [1, 2, 3])],
        lambda found: dict(zip("ab", sorted(found.values()), strict=True)),  # type: ignore[arg-type, type-var]
    )
    largest, smallest = extremes(pair, lambda found: 2 * found["a"] + found["b"])  # type: ignore[operator]
    assert (largest, smallest) == ({"a": 3, "b": 3}, {"a": 1, "b": 1})


def test_what_cannot_be_costed_or_found_is_said() -> None:
    with pytest.raises(ValueError, match=r"cost of {'op': '.*', 'width': 8} is nan"):
        extremes(SPACE, lambda _: math.nan)
    with pytest.raises(InfeasibleError, match="the impossible"):
        extremes(SPACE.where(lambda _: False, "the impossible"), cost)


def test_a_chain_of_conditions_takes_as_many_costs_as_it_has_options() -> None:
    length, asked = 12, list[Architecture]()

    def counted(architecture: Architecture) -> float:
        asked.append(architecture)
        return sum({"stop": 0, "conv3": 1, "conv5": 2}[option] for option in architecture.values())

    choices = [Choice("c0", ["stop", "conv3", "conv5"])]
    choices += [
        Choice(f"c{place}", ["stop", "conv3", "conv5"], (f"c{place - 1}", ("conv3", "conv5")))
        for place in range(1, length)
    ]
    found = extremes(SearchSpace(choices), counted)
    assert found.largest == dict.fromkeys((choice.label for choice in choices), "conv5")
    assert found.smallest == {"c0": "stop"}
    assert len(asked) <= 6 * length
