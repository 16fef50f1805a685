"""Spaces of the same choices take each other's architectures as they are."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Sequence
from enum import IntEnum

import pytest

from autopanoptic.nas.space import marks
from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.marks import mark_of
from autopanoptic.nas.space.space import SearchSpace


def space(options: Sequence[Option] = (1, 2)) -> SearchSpace:
    return SearchSpace([Choice("width", options), Choice("op", ["conv", "pool"])])


def test_an_architecture_of_one_is_not_checked_again_by_another_of_the_same_choices() -> None:
    found = space().canonical({"op": "conv", "width": 1})
    assert space().canonical(found) is found
    assert pickle.loads(pickle.dumps(space())).canonical(found) is found


def test_options_that_are_equal_are_written_as_each_space_has_them() -> None:
    """1, 1.0 and True are one option by equality, and three in a file."""
    for options in ((1.0, 2.0), (True, 2)):
        found = space(options).canonical(space().canonical({"op": "conv", "width": 1}))
        assert type(found["width"]) is type(options[0])


class Kernel(IntEnum):
    SMALL = 1
    LARGE = 2


def test_members_of_an_enum_stay_what_they_are() -> None:
    found = space(list(Kernel)).canonical(space().canonical({"op": "conv", "width": 1}))
    assert found["width"] is Kernel.SMALL


@pytest.mark.parametrize(
    "other",
    [
        SearchSpace([Choice("op", ["conv", "pool"]), Choice("width", [1, 2])]),  # another order
        SearchSpace([Choice("width", [1, 2]), Choice("op", ["conv", "pool"], ("width", 2))]),  # a condition
    ],
)
def test_architectures_of_other_choices_are_checked(other: SearchSpace) -> None:
    found = other.canonical(space().canonical({"op": "conv", "width": 1}))
    assert list(found) == [choice.label for choice in other.choices if choice.active(found)]


def test_a_space_with_symmetries_checks_what_others_have_made() -> None:
    def turned(architecture: Architecture) -> Architecture:
        return Architecture({**architecture, "width": 1})

    symmetric = SearchSpace([Choice("width", [1, 2]), Choice("op", ["conv", "pool"])], canonical=turned)
    assert symmetric.canonical(space().canonical({"op": "conv", "width": 2}))["width"] == 1


def test_marks_of_spaces_that_are_gone_are_forgotten() -> None:
    mark = mark_of([Choice("only here", [1, 2])])
    text = mark.text
    assert text in marks._MARKS
    del mark
    gc.collect()
    assert text not in marks._MARKS
