from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings

from autopanoptic.nas.evaluation.metrics import checked
from autopanoptic.nas.space import size as size_module
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.size import Size, count_architectures
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.strategy import exhausted, unseen
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Objective
from autopanoptic.nas.trials.trial import Trial
from tests.spaces import nested_spaces

OVERLAPPING = [
    *(Choice(f"p{i}", range(4)) for i in range(30)),
    *(Choice(f"c{i}", range(2), [(f"p{(7 * i + j * j) % 30}", j % 4) for j in range(6)]) for i in range(30)),
]


def tied(parents: int) -> list[Choice]:
    """One choice that is made where any of its parents takes option 0 of three."""
    child = Choice("tied", ["a", "b"], [(f"p{i}", 0) for i in range(parents)])
    return [*(Choice(f"p{i}", range(3)) for i in range(parents)), child]


def test_a_choice_with_a_hundred_parents_is_counted_exactly_in_two_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size_module, "WORK", 101 * 2 * 2)  # two states, two kinds of options, 101 choices
    space = SearchSpace(tied(100))
    assert space.size == 2 * (3**100 - 2**100) + 2**100
    assert space.size_is_exact
    assert repr(space) == "SearchSpace(101 choices, 1.031e+48 architectures)"


def test_tied_choices_in_a_ring_are_counted_in_whatever_order_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    def ring(length: int) -> list[Choice]:
        parents = [Choice(f"p{i}", range(3)) for i in range(length)]
        return parents + [Choice(f"c{i}", range(2), [(f"p{i}", 0), (f"p{(i + 1) % length}", 1)]) for i in range(length)]

    monkeypatch.setattr(size_module, "WORK", 20_000)
    small = SearchSpace(ring(5))
    assert small.size == len(list(small))
    long = ring(100)
    random.Random(0).shuffle(long)
    assert SearchSpace(long).size_is_exact
    assert SearchSpace(long).size == SearchSpace(ring(100)).size


def test_where_too_many_conditions_overlap_it_says_more_than() -> None:
    space = SearchSpace(OVERLAPPING)
    assert not space.size_is_exact
    assert 4**30 < space.size <= 4**30 * 2**30
    assert str(space.counted).startswith("more than ")
    assert f"(60 choices, more than {Size(space.size, True)} architectures)" in repr(space)


@settings(max_examples=60, deadline=None)
@given(space=nested_spaces(fewest=0))
def test_the_lower_bound_is_one(space: SearchSpace) -> None:
    whole = len(list(space))
    assert count_architectures(space.choices) == (whole, True)
    with pytest.MonkeyPatch.context() as patch:
        for work in (1, 12, 30):
            patch.setattr(size_module, "WORK", work)
            found = count_architectures(space.choices)
            assert 1 <= found.number <= whole
            assert found.number == whole or not found.exact


def test_a_lower_bound_never_counts_as_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size_module, "WORK", 1)
    space = SearchSpace([*(Choice(f"p{i}", range(2)) for i in range(3)), *tied_to_all()])
    whole = list(space)
    assert not space.size_is_exact
    assert space.size < len(whole)
    assert not space.has_at_most(len(whole))
    history = History([Objective("value")])
    for number, architecture in enumerate(whole[: space.size]):
        history.add(Trial(number, architecture))
    assert not exhausted(space, history)
    found = unseen(space, history, np.random.default_rng(0))
    assert found is not None
    assert found not in history


def tied_to_all() -> list[Choice]:
    return [Choice(f"c{i}", range(3), [(f"p{j}", (i + j) % 2) for j in range(3)]) for i in range(2)]


def test_a_space_that_is_known_to_be_small_says_so() -> None:
    space = SearchSpace([Choice("a", range(3)), Choice("b", range(2))])
    assert space.has_at_most(6)
    assert not space.has_at_most(5)


def test_more_choices_than_python_may_recurse_are_walked_through() -> None:
    space = SearchSpace(Choice(f"c{i}", range(2)) for i in range(3000))
    first, second = itertools.islice(space, 2)
    assert sum(checked(first).values()) == 0
    assert [label for label in first if first[label] != second[label]] == ["c2999"]
