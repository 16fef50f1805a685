"""Who is better at a rung, with several objectives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autopanoptic.nas.stopping.rungs import SPREADS, Point, best_first, n_better
from autopanoptic.nas.trials.pareto import epsilon_net

# A front from (0, 4) to (4, 0), in which the second point is nearest to another; then what it dominates.
FRONT: list[Point] = [(0.0, 4.0), (1.0, 3.5), (2.0, 2.0), (4.0, 0.0)]
BEHIND: list[Point] = [(0.5, 3.0), (1.0, 1.0), (0.0, 0.0)]


def better(own: Point, by: str = "non-domination", spread: str = "epsilon-net") -> int:
    points = [point for point in (*FRONT, *BEHIND) if point != own]
    ended, running = sorted((0.0, *point) for point in points[::2]), [(0.0, *point) for point in points[1::2]]
    return n_better(ended, running, (0.0, *own), by, spread)


def test_epsilon_net_by_hand() -> None:
    # The last is the best in the first objective, the first is farthest from it, then the third.
    assert epsilon_net(FRONT).tolist() == [1, 3, 2, 0]
    assert epsilon_net([(3.0, 3.0)]).tolist() == [0]
    assert epsilon_net([(1.0, 2.0), (3.0, 2.0), (2.0, 2.0)]).tolist() == [1, 0, 2]


@given(scale=st.sampled_from([0.25, 1.0, 1024.0]), shift=st.integers(-50, 50))
def test_epsilon_net_does_not_depend_on_units(scale: float, shift: int) -> None:
    assert epsilon_net(np.array(FRONT) * [1, scale] + [shift, 0]).tolist() == [1, 3, 2, 0]


@pytest.mark.parametrize(("spread", "places"), [("epsilon-net", [1, 3, 2, 0]), ("crowding", [0, 3, 2, 0])])
def test_fronts_come_first_and_are_ordered_by_their_spread(spread: str, places: list[int]) -> None:
    # Crowding: both ends are first, then the third: (4 - 1) / 4 + (3.5 - 0) / 4 against (2 - 0) / 4 + (4 - 2) / 4.
    assert [better(point, spread=spread) for point in FRONT] == places
    assert better(BEHIND[0], spread=spread) in (4, 5)
    assert better(BEHIND[1], spread=spread) in (4, 5)
    assert better(BEHIND[2], spread=spread) == 6, "the worst"


def test_by_objectives_the_best_one_of_a_trial_counts() -> None:
    assert [better(point, by="objectives") for point in FRONT] == [0, 1, 1, 0]
    assert better(BEHIND[0], by="objectives") == 2, "two are better in the second, and three in the first"


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("own", FRONT)
def test_equal_trials_have_one_place(spread: str, own: Point) -> None:
    others: list[Point] = [(0.0, *point) for point in FRONT if point != own]
    equal: list[Point] = [(0.0, *own)] * 3
    alone = n_better(others, [], (0.0, *own), "non-domination", spread)
    assert n_better(sorted([*others, *equal]), [], (0.0, *own), "non-domination", spread) == alone
    assert n_better(others, equal, (0.0, *own), "non-domination", spread) == alone


@pytest.mark.parametrize("by", ["non-domination", "objectives"])
def test_what_breaks_the_constraints_is_worse_and_ranks_by_how_much(by: str) -> None:
    ended: list[Point] = [(-2.0, 9.0, 9.0), (-1.0, 9.0, 9.0), (0.0, 1.0, 1.0)]
    for own, count in [((0.0, 2.0, 2.0), 0), ((-0.5, 0.0, 0.0), 1), ((-1.0, 0.0, 0.0), 1), ((-3.0, 99.0, 99.0), 3)]:
        assert n_better(ended, [], own, by, "epsilon-net") == count


POINTS = st.lists(st.tuples(*[st.integers(0, 4).map(float)] * 2), min_size=1, max_size=14)


@given(points=POINTS, objectives=st.integers(1, 2), spread=st.sampled_from(SPREADS))
def test_the_dominated_rank_behind_what_dominates_them(points: list[Point], objectives: int, spread: str) -> None:
    cut = [(0.0, *point[:objectives]) for point in points]
    places = [
        n_better(sorted(cut[:index]), cut[index + 1 :], own, "non-domination", spread) for index, own in enumerate(cut)
    ]
    assert min(places) == 0
    for one, place in zip(cut, places, strict=True):
        above = [other for other in cut if other != one and all(a >= b for a, b in zip(other, one, strict=True))]
        assert place >= len(above)
        if objectives == 1:
            assert place == len(above), "one objective is a plain order"


def test_the_best_come_first_with_one_objective() -> None:
    points = [(0.0, 3.0), (-2.0, 9.0), (0.0, 5.0), (-1.0, 0.0), (0.0, 3.0)]
    assert best_first(points, 5, "epsilon-net") == [2, 0, 4, 3, 1]
    assert best_first(points, 2, "crowding") == [2, 0]
    assert best_first([], 3, "crowding") == []


def test_the_best_come_first_with_several() -> None:
    # Places 0, 2 and 4 are the front, of which 2 and 4 are equal; then 1, and 3, which breaks a constraint.
    points = [(0.0, 1.0, 4.0), (0.0, 1.0, 1.0), (0.0, 4.0, 1.0), (-0.5, 9.0, 9.0), (0.0, 4.0, 1.0)]
    assert best_first(points, 5, "epsilon-net") == [2, 4, 0, 1, 3]
    assert best_first(points, 1, "epsilon-net") == [2]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("spread", ["epsilon-net", "crowding"])
def test_the_order_agrees_with_the_number_of_better_ones(seed: int, spread: str) -> None:
    rng = np.random.default_rng(seed)
    points = [(0.0, *map(float, row)) for row in rng.integers(0, 6, (25, 2))]
    order = best_first(points, len(points), spread)
    better = [n_better(sorted(points[:k] + points[k + 1 :]), [], points[k], "non-domination", spread) for k in order]
    assert sorted(order) == list(range(25))
    assert better == sorted(better)
