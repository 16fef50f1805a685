from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from autopanoptic.nas.trials.dominance import fronts
from autopanoptic.nas.trials.pareto import crowding, crowding_within, hypervolume, ranking

POINTS = arrays(float, st.tuples(st.integers(1, 12), st.integers(1, 3)), elements=st.integers(0, 5).map(float))


def dominates(one: np.ndarray, other: np.ndarray) -> bool:
    return bool((one >= other).all() and (one > other).any())


def test_fronts_of_a_known_set() -> None:
    gains = [[3, 1], [2, 2], [1, 3], [2, 1], [1, 1], [2, 2]]
    assert fronts(gains).tolist() == [0, 0, 0, 1, 2, 0]


def test_crowding_of_a_known_front() -> None:
    # Spread 4 in both. Second: (2 - 0) / 4 + (4 - 1) / 4, third: (4 - 1) / 4 + (3 - 0) / 4.
    gains = [[0, 4], [1, 3], [2, 1], [4, 0]]
    assert crowding(gains).tolist() == [np.inf, 1.25, 1.5, np.inf]


def test_crowding_where_an_objective_is_constant() -> None:
    assert crowding([[1, 0], [1, 1], [1, 3]]).tolist() == [np.inf, 1.0, np.inf]


def test_ranking_by_one_objective_keeps_the_order_of_ties() -> None:
    assert ranking([[1], [3], [2], [3]]).tolist() == [1, 3, 2, 0]


def test_ranking_by_several_objectives() -> None:
    # The first front is 0, 1, 2, 3, of which 0 and 3 are ends; 4 is dominated.
    assert ranking([[0, 4], [1, 3], [2, 1], [4, 0], [0, 0]]).tolist() == [0, 3, 2, 1, 4]


@given(POINTS)
def test_a_front_number_is_the_longest_chain_of_dominating_points(points: np.ndarray) -> None:
    found = fronts(points)
    for number, point in zip(found, points, strict=True):
        above = [found[i] for i, other in enumerate(points) if dominates(other, point)]
        assert number == max(above, default=-1) + 1


@given(POINTS)
def test_ranking_is_a_permutation_in_which_none_stands_before_what_dominates_it(points: np.ndarray) -> None:
    order = ranking(points)
    assert sorted(order) == list(range(len(points)))
    for place, index in enumerate(order):
        assert not any(dominates(points[later], points[index]) for later in order[place + 1 :])


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_points_are_all_ends(count: int) -> None:
    assert np.isinf(crowding(np.arange(2.0 * count).reshape(count, 2))).all()


@given(POINTS)
def test_crowding_within_fronts_is_that_of_each_front(points: np.ndarray) -> None:
    front = fronts(points)
    found = crowding_within(points, front)
    for number in range(front.max() + 1):
        assert found[front == number].tolist() == crowding(points[front == number]).tolist()


def test_hypervolume_by_hand() -> None:
    assert hypervolume([[3, 1], [1, 3], [2, 2]], [0, 0]) == 3 + 2 + 1
    assert hypervolume([[3, 1], [1, 3], [2, 2], [1, 1]], [0, 0]) == 6, "a dominated point adds nothing"
    assert hypervolume([[3, 1], [1, 3]], [1, 1]) == 0, "points on the border add nothing"
    assert hypervolume([[2.0], [5.0]], [1]) == 4
    assert hypervolume(np.empty((0, 2)), [0, 0]) == 0


def test_hypervolume_of_three_objectives() -> None:
    assert hypervolume([[2, 2, 2]], [0, 0, 0]) == 8
    assert hypervolume([[1, 2, 3], [3, 1, 1]], [0, 0, 0]) == 6 + 3 - 1


@settings(max_examples=30, deadline=None)
@given(arrays(int, st.tuples(st.integers(1, 6), st.integers(2, 4)), elements=st.integers(-1, 4)))
def test_hypervolume_counts_dominated_cells(points: NDArray[np.int64]) -> None:
    cells = itertools.product(range(4), repeat=points.shape[1])
    dominated = sum(bool((points > np.array(cell)).all(axis=1).any()) for cell in cells)
    assert hypervolume(points, [0] * points.shape[1]) == pytest.approx(dominated)


@pytest.mark.parametrize(
    ("gains", "reference"), [([[1, 2, 3], [4, 5, 6]], [0, 0]), ([1, 2, 3, 4], [0, 0]), ([[1, 2]], [[0, 0]])]
)
def test_hypervolume_needs_shapes_that_fit(gains: object, reference: object) -> None:
    with pytest.raises(ValueError, match=r"needs points \(n, objectives\) and a reference \(objectives,\), not"):
        hypervolume(gains, reference)  # type: ignore[arg-type]


def test_hypervolume_of_nothing() -> None:
    assert hypervolume([], [0, 0]) == hypervolume(np.zeros((0, 2)), [0, 0]) == 0


def test_hypervolume_needs_finite_numbers() -> None:
    with pytest.raises(ValueError, match="reference of finite numbers"):
        hypervolume([[1, 2]], [0, np.nan])
