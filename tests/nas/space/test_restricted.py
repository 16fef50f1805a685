from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopanoptic.nas import Architecture, Choice, SearchSpace
from tests.spaces import nested_spaces

SPACE = SearchSpace(
    [
        Choice("op", ["conv", "pool", "attention"], weights=[1, 2, 3]),
        Choice("kernel", [3, 5, 7], ("op", "conv")),
        Choice("heads", [1, 2], [("op", "attention"), ("kernel", (5, 7))]),
        Choice("width", [8, 16]),
    ]
)


@settings(deadline=None, max_examples=80)
@given(nested_spaces(), st.data())
def test_the_part_has_exactly_the_architectures_with_these_options(space: SearchSpace, data: st.DataObject) -> None:
    labels = data.draw(st.lists(st.sampled_from([c.label for c in space.choices]), unique=True))
    kept = {
        label: data.draw(st.lists(st.sampled_from(space[label].options), min_size=1, unique=True)) for label in labels
    }
    expected = [a for a in space if all(a[label] in kept[label] for label in kept if label in a)]
    part = space.restricted(kept)
    assert list(part) == expected
    assert part.size == len(expected)
    assert all(part.sample(np.random.default_rng(seed)) in space for seed in range(3))


def test_choices_that_nothing_leads_to_are_left_out() -> None:
    assert [choice.label for choice in SPACE.restricted({"op": ["pool"]}).choices] == ["op", "width"]
    part = SPACE.restricted({"op": ["conv"], "kernel": [7, 3]})
    assert part["kernel"].options == (3, 7)
    assert part["heads"].conditions == (("kernel", (7,)),)
    assert SPACE.restricted({}) == SPACE


def test_weights_stay_with_their_options() -> None:
    assert SPACE.restricted({"op": ["attention", "conv"]})["op"].probabilities == pytest.approx((0.25, 0.75))


def test_the_constraint_stays() -> None:
    part = SPACE.where(lambda found: found["width"] == 8, "narrow").restricted({"op": ["pool", "attention"]})
    assert {found["width"] for found in part} == {8}
    assert len(list(part)) == 3


def ordered(found: Architecture) -> dict[str, Any]:
    return dict(zip("ab", sorted(found.values()), strict=True))  # type: ignore[type-var]


def test_symmetries_stay_where_the_representative_is_in_the_part() -> None:
    whole = SearchSpace([Choice("a", [1, 2, 3]), Choice("b", [1, 2, 3])], ordered)
    part = whole.restricted({"a": [2, 3], "b": [1, 2, 3]})
    assert part.canonical({"a": 3, "b": 2}) == {"a": 2, "b": 3}
    assert part.canonical({"a": 3, "b": 1}) == {"a": 3, "b": 1}, "its representative has a = 1"
    assert [tuple(found.values()) for found in part] == [(2, 1), (2, 2), (2, 3), (3, 1), (3, 3)]
    assert part == whole.restricted({"a": [2, 3]})
    assert list(pickle.loads(pickle.dumps(part))) == list(part)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ops": ["conv"]}, "no choice 'ops'; it has"),
        ({"op": ["conv", "skip"]}, r"'op' has no option 'skip'; it has \['conv', 'pool', 'attention'\]"),
        ({"op": []}, "'op' has no options"),
        ({"op": "conv"}, "needs a list of options"),
    ],
)
def test_what_the_space_lacks_is_refused(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SPACE.restricted(options)


def test_each_network_is_once_in_a_part_that_lacks_its_representative() -> None:
    labels = ["left", "middle", "right"]
    whole = SearchSpace(
        [Choice(label, ["conv", "pool", "skip"]) for label in labels],
        lambda found: dict(zip(labels, sorted(found.values()), strict=True)),  # type: ignore[type-var]
    )
    part = whole.restricted({"left": ["skip"]})
    found = [tuple(sorted(map(str, architecture.values()))) for architecture in part]
    assert len(found) == len(set(found)) == 6
    assert part.canonical({"left": "skip", "middle": "pool", "right": "conv"}) == {
        "left": "skip", "middle": "conv", "right": "pool"
    }  # fmt: skip
