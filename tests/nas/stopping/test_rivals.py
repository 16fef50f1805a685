from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from autopanoptic.nas.stopping.rivals import Rivals

Points = list[tuple[float, ...]]
VALUES = st.integers(0, 4).map(float)


def points_of(objectives: int, least: int, most: int) -> st.SearchStrategy[Points]:
    return st.lists(st.tuples(*[VALUES] * objectives), min_size=least, max_size=most)


@settings(max_examples=200, deadline=None)
@given(data=st.data(), objectives=st.integers(1, 3), top=st.integers(1, 4))
def test_they_stand_for_all_points_that_ever_were_added(data: st.DataObject, objectives: int, top: int) -> None:
    points, (own,) = data.draw(points_of(objectives, 1, 25)), data.draw(points_of(objectives, 1, 1))
    rivals = Rivals(top, objectives)
    for point in points:
        rivals = rivals.joined_by(point)
    every, mine = np.array(points), np.array(own)
    dominating = (every >= mine).all(axis=1) & (every > mine).any(axis=1)
    assert rivals.dominate(mine) == (dominating.sum() >= top)
    assert rivals.beat_in_each(mine) == bool(((every > mine).sum(axis=0) >= top).all())
    for index in range(objectives):
        rest = np.arange(objectives) != index
        able = np.sort(every[(every[:, rest] >= mine[rest]).all(axis=1), index])
        assert rivals.threshold(index, mine) == (able[-top] if len(able) >= top else None)
        worse = len(every) >= top and bool(((every[:, rest] > mine[rest]).sum(axis=0) >= top).all())
        assert rivals.threshold(index, mine, in_each=True) == (np.sort(every[:, index])[-top] if worse else None)


def test_only_those_that_matter_are_kept() -> None:
    points = np.random.default_rng(0).random((3_000, 2))
    rivals = Rivals(5, 2)
    for point in points:
        rivals = rivals.joined_by(tuple(point))
    assert 20 < len(rivals) < 5 * math.log(3_000) * 2
    for _ in range(9):
        rivals = rivals.joined_by((2.0, 2.0))
    assert len(rivals) == 5
