"""Costs that add up over the choices."""

from __future__ import annotations

import numpy as np
import pytest

from autopanoptic.nas import AdditiveCost, Architecture, Choice, SearchSpace

SPACE = SearchSpace([Choice(label, [1, 2, 3, 4]) for label in "abcde"])


class Counting:
    """A sum, with one product where it is asked for."""

    def __init__(self, product: bool = False) -> None:
        self.calls = 0
        self.product = product

    def __call__(self, architecture: Architecture) -> float:
        self.calls += 1
        total = 100.0 + sum(int(option) ** 2 for option in architecture.values())
        return total + (int(architecture["a"]) * int(architecture["b"]) if self.product else 0)


def test_it_equals_the_cost_after_one_measurement_per_option() -> None:
    cost = Counting()
    additive = AdditiveCost(SPACE, cost, unit=10)
    rng = np.random.default_rng(0)
    for _ in range(300):
        architecture = SPACE.sample(rng)
        assert additive(architecture) == Counting()(architecture) / 10
    # The first, 3 other options of each of 5 choices, and three that are compared.
    assert cost.calls == 1 + 15 + 3


def test_a_cost_that_is_no_sum_is_refused() -> None:
    additive = AdditiveCost(SPACE, Counting(product=True))
    additive(dict.fromkeys("abcde", 1))
    with pytest.raises(ValueError, match=r"is 130, but its choices add up to 129: the cost of an option depends"):
        additive({**dict.fromkeys("abcde", 1), "a": 2, "b": 2} | {"e": 4})


def test_only_what_differs_twice_shows_that_a_cost_is_no_sum() -> None:
    """In the order of the space the first architectures differ from the very first one in one choice alone."""
    additive = AdditiveCost(SearchSpace([Choice("a", [1, 2]), Choice("b", [1, 2])]), Counting(product=True))
    for a, b in ((1, 1), (1, 2), (2, 1)):
        additive({"a": a, "b": b})
    with pytest.raises(ValueError, match="choices add up to"):
        additive({"a": 2, "b": 2})


def test_conditional_choices_are_refused() -> None:
    space = SearchSpace([Choice("a", [1, 2]), Choice("b", [1, 2], ("a", 1))])
    with pytest.raises(ValueError, match="Choice 'b' is conditional"):
        AdditiveCost(space, Counting())
