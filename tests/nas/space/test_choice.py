from __future__ import annotations

import json
from typing import Any

import pytest

from autopanoptic.nas.space.choice import Choice


def test_options_keep_their_order_and_type() -> None:
    choice = Choice("k", [7, 3.5, "x", True])
    assert choice.options == (7, 3.5, "x", True)
    assert [type(option) for option in choice.options] == [int, float, str, bool]


@pytest.mark.parametrize(
    ("label", "options", "message"),
    [
        ("", ["a"], "non-empty string, not ''"),
        (3, ["a"], "non-empty string, not 3"),
        ("op", [], "'op' has no options"),
        ("op", "conv", "needs a list of options, not the text 'conv'"),
        ("op", ["a", "b", "a"], r"'op' has equal options among \['a', 'b', 'a'\]"),
        ("op", [1, True], "equal options"),
        ("op", [1, 1.0], "equal options"),
        ("op", [None], "None of choice 'op' must be a string"),
        ("op", [["a"]], "must be a string, a finite number or a boolean"),
        ("op", [float("nan")], "nan of choice 'op'"),
        ("op", [float("inf")], "inf of choice 'op'"),
    ],
)
def test_bad_options_are_refused(label: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Choice(label, options)


@pytest.mark.parametrize(
    ("given", "conditions"),
    [
        ((), ()),
        (None, ()),
        (("op", "conv"), (("op", ("conv",)),)),
        (("depth", (2, 3)), (("depth", (2, 3)),)),
        (["depth", [2, 3]], (("depth", (2, 3)),)),
        ([("op", "conv"), ("depth", 3)], (("op", ("conv",)), ("depth", (3,)))),
        (("op", {"c", "a", "b"}), (("op", ("a", "b", "c")),)),
        (("op", False), (("op", (False,)),)),
    ],
)
def test_conditions_are_given_in_several_ways(given: Any, conditions: Any) -> None:
    assert Choice("k", [1], given).conditions == conditions


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["op"], r"Condition 'op' of choice 'k' must be \(label, option or options\)"),
        ([("op", 1, 2)], "must be"),
        ([(1, "op")], "must be"),
        (("op", ()), "names no option"),
    ],
)
def test_bad_conditions_are_refused(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Choice("k", [1], given)


def test_a_choice_is_active_while_any_condition_holds() -> None:
    always, either = Choice("k", [1]), Choice("k", [1], [("op", "conv"), ("depth", (2, 3))])
    assert always.active({})
    assert not either.active({})
    assert not either.active({"op": "pool", "depth": 1})
    assert either.active({"op": "conv"})
    assert either.active({"op": "pool", "depth": 3})


def test_json_round_trip() -> None:
    for choice in (Choice("a", [1, 2.5, "x", False]), Choice("b", ["y"], [("a", (1, "x")), ("c", True)])):
        assert Choice.from_json(json.loads(json.dumps(choice.to_json()))) == choice
    assert Choice("a", [1]).to_json() == {"label": "a", "options": [1]}
