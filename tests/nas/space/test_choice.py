from __future__ import annotations

import json
from enum import Enum, IntEnum
from typing import Any

import numpy as np
import pytest

from autopanoptic.nas.space.choice import Choice


class Plain(Enum):
    """JSON cannot hold its members."""

    A = "a"


class Op(str, Enum):
    """Equal to its text."""

    CONV = "conv"
    POOL = "pool"


class Depth(IntEnum):
    """Equal to its number."""

    SHALLOW = 2
    DEEP = 8


def test_numpys_scalars_become_pythons() -> None:
    options = [np.int64(3), np.float32(0.5), np.str_("x"), np.bool_(True), np.uint8(7)]
    choice = Choice("k", options, ("p", np.int64(2)), np.arange(1, 6))  # type: ignore[arg-type]
    assert choice.options == (3, 0.5, "x", True, 7)
    assert [type(option) for option in choice.options] == [int, float, str, bool, int]
    assert Choice("k", np.arange(3)).options == (0, 1, 2)  # type: ignore[arg-type]
    assert [type(weight) for weight in choice.weights or ()] == [int] * 5
    assert json.loads(json.dumps(choice.to_json()))["conditions"] == [["p", [2]]]


@pytest.mark.parametrize("enum", [Op, Depth])
def test_enums_stay_what_they_are_and_are_written_as_their_values(enum: Any) -> None:
    choice = Choice("op", enum, ("p", list(enum)))
    assert all(isinstance(option, enum) for option in choice.options)
    values = [member.value for member in enum]
    written = json.loads(json.dumps(choice.to_json()))
    assert written == {"label": "op", "options": values, "conditions": [["p", values]]}
    assert Choice.from_json(written) == choice


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
        ("op", [np.float32("nan")], "nan.* of choice 'op'"),
        ("op", [np.array(1)], r"array\(1\) of choice 'op' must be a string"),
        ("op", np.array([[1, 2]]), r"array\(\[1, 2\]\) of choice 'op' must be"),
        ("op", np.array(1), r"'op' needs a list of options, not array\(1\)"),
        ("op", [np.datetime64("2020-01-01")], "must be a string"),
        ("op", {"conv"}, r"'op' needs a list of options, not \{'conv'\}, whose order may change"),
        ("op", frozenset([3]), "whose order may change"),
        ("op", 3, "'op' needs a list of options, not 3"),
        ("op", None, "'op' needs a list of options, not None"),
        ("op", b"conv", "not the text b'conv'"),
        ("op", list(Plain), r"Option .*Plain.* of choice 'op' must be .* Let Plain derive from str or int"),
        ("op", [np.int64(1), 1], "equal options"),
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
        (("depth", range(2, 4)), (("depth", (2, 3)),)),
        (("depth", np.arange(2, 4)), (("depth", (2, 3)),)),
        (("depth", np.float64(0.5)), (("depth", (0.5,)),)),
        (("op", Op.CONV), (("op", (Op.CONV,)),)),
        ({("op", "conv"), ("depth", 3)}, (("depth", (3,)), ("op", ("conv",)))),
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
        (5, r"Condition 5 of choice 'k' must be \(label, option or options\)"),
        (range(3), r"Condition range\(0, 3\) of choice 'k' must be"),
        (np.array([1, 2]), r"Condition array\(\[1, 2\]\) of choice 'k' must be"),
        ("op", "Condition 'op' of choice 'k' must be"),
        ({"op": "conv"}, r"Condition \{'op': 'conv'\} of choice 'k' must be"),
        (("op", None), r"Option None in condition \('op', None\) of choice 'k' must be a string"),
        (("op", {"a": 1}), r"Option \{'a': 1\} in condition"),
        (("op", [["conv"]]), r"Option \['conv'\] in condition"),
        (("op", np.array(3)), r"Option array\(3\) in condition"),
        (("op", range(0)), "names no option"),
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
