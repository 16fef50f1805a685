from __future__ import annotations

from typing import Any

import pytest

from autopanoptic.nas.trials.objective import Constraint, Objective, objectives_of


def test_gain_is_larger_for_the_better() -> None:
    metrics = {"accuracy": 0.75, "latency_ms": 12.0}
    assert Objective("accuracy").gain(metrics) == 0.75
    assert Objective("latency_ms", "min").gain(metrics) == -12.0


def test_an_unknown_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="'accuracy' has direction 'maximize'; use 'max' or 'min'"):
        Objective("accuracy", "maximize")


@pytest.mark.parametrize(
    "given",
    ["pq", {"pq": "max"}, [Objective("pq")], (Objective("pq", "max"),)],
    ids=["text", "mapping", "list", "tuple"],
)
def test_objectives_are_given_in_several_ways(given: Any) -> None:
    assert objectives_of(given) == (Objective("pq"),)


def test_several_objectives_keep_their_order() -> None:
    names = [objective.name for objective in objectives_of({"pq": "max", "gflops": "min", "memory": "min"})]
    assert names == ["pq", "gflops", "memory"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"one or more objectives with different names, not \[\]"),
        ([Objective("pq"), Objective("pq", "min")], r"not \['pq', 'pq'\]"),
        (["pq", "gflops"], r'given as "accuracy" or .* not \[\'pq\', \'gflops\'\]'),
        ({"pq": "largest"}, "direction 'largest'"),
        (5, r'given as "accuracy" or .* not 5'),
        (None, "not None"),
    ],
)
def test_bad_objectives_are_refused(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        objectives_of(given)


@pytest.mark.parametrize(
    ("low", "high", "inside", "outside"),
    [(None, 3.8, [-1e9, 0, 3.8], [3.80001, 1e9]), (1, None, [1, 1e9], [0.999]), (1, 2, [1, 1.5, 2], [0.9, 2.1])],
)
def test_constraints_allow_their_ends(low: Any, high: Any, inside: list[float], outside: list[float]) -> None:
    constraint = Constraint("gflops", low, high)
    assert all(constraint.allows(value) for value in inside)
    assert not any(constraint.allows(value) for value in outside)
    assert not constraint.allows(float("nan"))


@pytest.mark.parametrize(("low", "high"), [(2, 1), (float("nan"), 1), (None, float("nan"))])
def test_constraints_that_exclude_everything_are_refused(low: Any, high: Any) -> None:
    with pytest.raises(ValueError, match=r"on 'gflops' .* excludes everything"):
        Constraint("gflops", low, high)


def test_constraints_say_what_they_are() -> None:
    assert str(Constraint("gflops", None, 3.8)) == "gflops <= 3.8"
    assert str(Constraint("gflops", 1, 3.8)) == "1 <= gflops <= 3.8"
    assert str(Constraint("gflops", 1)) == "1 <= gflops"


@pytest.mark.parametrize("kind", [Objective, Constraint])
@pytest.mark.parametrize("name", [3, None, ""])
def test_a_name_that_is_no_text_is_refused(kind: Any, name: Any) -> None:
    with pytest.raises(ValueError, match="must be a non-empty text"):
        kind(name)
