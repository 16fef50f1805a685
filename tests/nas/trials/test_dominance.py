from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from autopanoptic.nas.trials import dominance
from autopanoptic.nas.trials.dominance import first_front, fronts

POINTS = arrays(
    float, st.tuples(st.integers(0, 14), st.integers(1, 5)), elements=st.sampled_from([-2.0, -0.0, 0.0, 1.0, 2.5, 3.0])
)


def by_definition(points: np.ndarray) -> list[int]:
    found = np.full(len(points), -1)
    number = 0
    while (found < 0).any():
        left = np.flatnonzero(found < 0)
        free = [
            index
            for index in left
            if not any((points[o] >= points[index]).all() and (points[o] > points[index]).any() for o in left)
        ]
        found[free] = number
        number += 1
    return found.tolist()


@given(POINTS)
def test_fronts_are_those_of_the_definition(points: np.ndarray) -> None:
    expected = by_definition(points)
    assert fronts(points).tolist() == expected
    assert first_front(points).tolist() == [number == 0 for number in expected]


def test_no_points() -> None:
    assert fronts([]).tolist() == fronts(np.empty((0, 3))).tolist() == first_front([]).tolist() == []


def on_a_sphere(rng: np.random.Generator, count: int, objectives: int) -> np.ndarray:
    points = abs(rng.normal(size=(count, objectives)))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


SHAPES = {
    "random": lambda rng, n, d: rng.normal(size=(n, d)),
    "one front": lambda rng, n, d: (lambda p: p / np.linalg.norm(p, axis=1, keepdims=True))(
        abs(rng.normal(size=(n, d)))
    ),
    "a chain": lambda rng, n, d: np.repeat(rng.permutation(n)[:, None], d, axis=1),
    "equal": lambda rng, n, d: np.ones((n, d)),
    "few values": lambda rng, n, d: rng.integers(0, 5, size=(n, d)),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_memory_grows_with_the_points_and_not_with_their_square(shape: str, objectives: int) -> None:
    points = SHAPES[shape](np.random.default_rng(0), 4000, objectives).astype(float)
    tracemalloc.start()
    fronts(points)
    first_front(points)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1000 * len(points)  # a square of booleans would be 16,000,000


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("objectives", [2, 3])
def test_the_number_of_comparisons_is_near_linear(shape: str, objectives: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    kind = {2: dominance._Best, 3: dominance._Staircase}[objectives]
    dominates = kind.dominates

    def counted(self: object, point: object) -> bool:
        nonlocal calls
        calls += 1
        return dominates(self, point)  # type: ignore[arg-type]

    monkeypatch.setattr(kind, "dominates", counted)
    points = SHAPES[shape](np.random.default_rng(0), 2000, objectives).astype(float)
    fronts(points)
    assert calls <= 2000 * 12  # log2(2000) is 11
    calls = 0
    first_front(points)
    assert calls <= 2000
