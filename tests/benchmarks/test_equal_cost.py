"""Networks of one cost: which are taken, and what their figures say together."""

from __future__ import annotations

import numpy as np
import pytest

from autopanoptic.nas import Architecture, Choice, SearchSpace
from autopanoptic.panoptic.search.strategies import hand_made
from benchmarks.equal_cost import RANGE, Row, networks, summary

SPACE = SearchSpace(
    [
        Choice("backbone.c2.width", (16, 24, 32, 48)),
        Choice("mask.width", (36, 48, 72, 96)),
        Choice("mask.layer1", ("at5", "dw3", "dw5")),
        Choice("segmentation.layer1", ("dw3", "dw5")),
    ]
)


def cost(architecture: Architecture) -> float:
    return float(sum(value for value in architecture.values() if isinstance(value, int)))


def test_the_others_cost_what_the_hand_made_network_does() -> None:
    by_hand = hand_made(SPACE)
    found = networks(SPACE, by_hand, cost, 2, 3, seed=0)
    assert list(found) == ["hand-made", "sizes-1", "sizes-2", "any-1", "any-2", "any-3"]
    assert len(set(found.values())) == 6
    for name, one in found.items():
        assert RANGE[0] <= cost(one) / cost(by_hand) <= RANGE[1]
        if name.startswith("sizes"):
            assert (one["mask.layer1"], one["segmentation.layer1"]) == ("dw3", "dw3")
    assert networks(SPACE, by_hand, cost, 2, 3, seed=0) == found


def test_a_path_that_says_the_opposite_has_a_tau_of_minus_one() -> None:
    found = [
        Row(str(number), 0.1, {"pq": -float(number)}, {"6": {"pq": short}}, {"pq": number / 2}, {"pq": float(number)})
        for number, short in enumerate((1.0, 0.0, 2.0, 3.0, 4.0))
    ]
    figures = summary(found)
    assert figures["tau_path"] == pytest.approx(-1)
    assert figures["tau_short"] == {"6": pytest.approx(0.8)}
    assert figures["tau_nas_val"] == pytest.approx(1)
    assert figures["hand_made"] == 0
    assert figures["others"] == {"mean": 2.5, "deviation": float(np.std([1, 2, 3, 4], ddof=1)), "best": 4.0}
