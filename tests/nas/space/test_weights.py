"""Prior weights of options."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from torch import nn

from autopanoptic.nas import Architecture, Choice, LayerChoice, ModelSpace, SearchSpace

WEIGHTED = Choice("op", ["conv", "pool", "skip"], weights=[6, 3, 1])
SPACE = SearchSpace([WEIGHTED, Choice("width", [16, 32])])


def shares(draw: Callable[[np.random.Generator], Architecture], label: str) -> dict[Any, float]:
    rng = np.random.default_rng(0)
    counts = Counter(draw(rng)[label] for _ in range(4000))
    return {option: number / 4000 for option, number in counts.items()}


def test_samples_follow_the_weights() -> None:
    assert shares(SPACE.sample, "op") == pytest.approx({"conv": 0.6, "pool": 0.3, "skip": 0.1}, abs=0.03)
    assert shares(SPACE.sample, "width") == pytest.approx({16: 0.5, 32: 0.5}, abs=0.03)


def test_mutations_follow_the_weights_of_the_other_options() -> None:
    only = SearchSpace([WEIGHTED])
    parent = only.canonical({"op": "pool"})
    found = shares(lambda rng: only.mutate(parent, rng), "op")
    assert found == pytest.approx({"conv": 6 / 7, "skip": 1 / 7}, abs=0.03)


def test_probabilities_and_json() -> None:
    assert WEIGHTED.probabilities == pytest.approx((0.6, 0.3, 0.1))
    assert Choice("a", [1, 2]).probabilities == (0.5, 0.5)
    assert SearchSpace.from_json(SPACE.to_json()) == SPACE
    assert "weights" not in SPACE.to_json()[1]
    assert SearchSpace([Choice("op", WEIGHTED.options)]) != SearchSpace([WEIGHTED])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 2], r"has 3 options, but the 2 weights \(1, 2\)"),
        ([1, 0, 1], "option 'pool' of choice 'op' must be a positive number, not 0. Leave out an option"),
        ([1, float("nan"), 1], "not nan"),
        ({1, 2, 3}, r"needs a list of weights, not \{1, 2, 3\}, whose order may change"),
        (3, "needs a list of weights, not 3"),
        ([1, float("inf"), 1], "not inf"),
        ([1, "2", 1], "not '2'"),
    ],
)
def test_bad_weights(weights: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Choice("op", ["conv", "pool", "skip"], weights=weights)


class Net(ModelSpace):
    def __init__(self, weights: list[list[float] | None]) -> None:
        super().__init__()
        layers = {"one": nn.Identity(), "two": nn.ReLU()}
        self.places = nn.ModuleList(LayerChoice(layers, label="op", tied=True, weights=weight) for weight in weights)


def test_layer_choice() -> None:
    assert SearchSpace.from_module(Net([[3, 1]])).choices[0].weights == (3, 1)
    assert SearchSpace.from_module(Net([None, None])).choices[0].weights is None
    with pytest.raises(ValueError, match=r"Label 'op' has the weights \(3, 1\) and None"):
        SearchSpace.from_module(Net([[3, 1], None]))


def test_probabilities_are_worked_out_once() -> None:
    assert WEIGHTED.probabilities is WEIGHTED.probabilities
