from __future__ import annotations

import logging
import math
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autopanoptic.nas import (
    Architecture,
    BayesianOptimization,
    Choice,
    GridSearch,
    InfeasibleError,
    RandomSearch,
    RegularizedEvolution,
    Search,
    SearchSpace,
    Strategy,
    TrialState,
)
from autopanoptic.nas.costs.remembered import Remembered
from autopanoptic.nas.costs.table import LOGGED, CostTable, constraints_of
from autopanoptic.nas.trials.objective import Constraint

SPACE = SearchSpace(Choice(f"k{i}", (1, 3, 5, 7)) for i in range(4))
BOUND = {"c": (None, 20)}


def total(architecture: Architecture) -> float:
    return float(sum(int(option) for option in architecture.values()))


def raises(architecture: Architecture) -> float:
    raise ZeroDivisionError("no such path.")


def test_what_was_refused_is_told_where_nothing_is_left() -> None:
    space = CostTable({"c": total}, {"c": (None, 3)}).constrained(SPACE)
    with pytest.raises(InfeasibleError, match=r"c <= 3(.|\n)*Those refused have c from 4 to 28\. Widen the constraint"):
        list(space)
    table = CostTable({"c": total}, BOUND)
    assert table.explain() == ""
    assert table.constrained(SPACE).sample(np.random.default_rng(0))


def odd_at_seven(odd: Any) -> Any:
    """Return a cost that is odd where k0 is 7: a value, or what a function of the architecture gives or raises."""
    return lambda a: (odd(a) if callable(odd) else odd) if a["k0"] == 7 else total(a)


ODD = [math.inf, math.nan, raises, "many", None, np.float32("nan"), 10**400, [1, 2]]


@pytest.mark.parametrize("strategy", [RandomSearch(), GridSearch(), RegularizedEvolution(5, 2)], ids=repr)
@pytest.mark.parametrize("odd", ODD, ids=[str(odd)[:12] for odd in ODD])
def test_what_has_an_odd_bounded_cost_is_refused_and_the_search_goes_on(
    odd: Any, strategy: Strategy, tmp_path: Path
) -> None:
    def search() -> Search:
        return Search(SPACE, strategy, total, costs={"c": odd_at_seven(odd)}, constraints=BOUND, journal=tmp_path / "j")

    search().run(10)
    result = search().run(20)
    assert len(result.history.completed) == 20
    assert all(trial.architecture["k0"] != 7 and trial.metrics["c"] <= 20 for trial in result.history)


@pytest.mark.parametrize("odd", [math.inf, -math.inf])
def test_infinity_is_a_number_beyond_bounds(odd: float) -> None:
    architecture = SPACE.canonical(dict.fromkeys(["k0", "k1", "k2", "k3"], 7))
    inner, outer = CostTable({"c": lambda a: odd}, BOUND), CostTable({"c": lambda a: odd}, {"c": (-20, None)})
    for table in (inner, outer):
        assert not table.allows(architecture)
    breaks, spared = (inner, outer) if odd > 0 else (outer, inner)
    assert "which breaks" in (breaks.refusal(architecture) or "")
    assert "which is not finite" in (spared.refusal(architecture) or "")


def test_each_refusal_is_logged_once_with_its_id(caplog: pytest.LogCaptureFixture) -> None:
    table = CostTable({"c": odd_at_seven(raises)}, BOUND)
    space = table.constrained(SPACE)
    refused = [architecture for architecture in SPACE if architecture["k0"] == 7]
    with caplog.at_level(logging.WARNING):
        assert not any(space.accepts(architecture) for architecture in refused[:5] * 3)
    assert len(caplog.messages) == 5
    for message, architecture in zip(caplog.messages, refused, strict=False):
        assert f"cost 'c' of architecture {architecture.id} could not be worked out: ZeroDivisionError" in message
    list(space)
    assert len(caplog.messages) == LOGGED + 1
    assert "Further" in caplog.messages[-1]


def test_nan_is_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    space = CostTable({"c": lambda _: float("nan")}, BOUND).constrained(SPACE)
    first = next(iter(SPACE))
    with caplog.at_level(logging.WARNING):
        assert not space.accepts(first)
    assert caplog.messages == [f"An architecture is refused: cost 'c' of architecture {first.id} is nan."]


@pytest.mark.parametrize("strategy", [RandomSearch(), GridSearch(), BayesianOptimization()], ids=repr)
def test_where_all_are_refused_the_error_names_cost_and_architecture(strategy: Strategy) -> None:
    search = Search(SPACE, strategy, total, costs={"c": raises}, constraints=BOUND)
    with pytest.raises(
        InfeasibleError, match=r"c <= 20.* 256 were refused .* cost 'c' of architecture \w{10} could not"
    ):
        search.run(20)
    wide = SearchSpace(Choice(f"k{i}", (1, 3, 5, 7)) for i in range(40))
    with pytest.raises(InfeasibleError, match=r"architecture \w{10} could not .* no such path\. Widen"):
        Search(wide, RandomSearch(), total, costs={"c": raises}, constraints={"c": (None, 20)}).run(20)


def test_a_cost_without_a_bound_fails_its_trials_alone() -> None:
    for odd in (raises, math.inf, math.nan, "many"):
        result = Search(SPACE, RandomSearch(), total, costs={"c": odd_at_seven(odd)}).run(40)
        failed = [trial for trial in result.history if trial.state is TrialState.FAILED]
        assert failed
        assert {trial.architecture["k0"] for trial in failed} == {7}
        assert all(f"ost 'c' of architecture {trial.architecture.id}" in str(trial.error) for trial in failed)
        assert len(result.history.completed) == 40 - len(failed)


def test_an_initial_architecture_is_refused_with_the_reason() -> None:
    initial = [dict.fromkeys(["k0", "k1", "k2", "k3"], 7)]
    with pytest.raises(ValueError, match=r"is refused: its cost 'c' is 28, which breaks c <= 20\."):
        Search(SPACE, RandomSearch(), total, costs={"c": total}, constraints=BOUND, initial=initial)
    with pytest.raises(ValueError, match=r"is refused: cost 'c' of architecture \w{10} could not be worked out: Zero"):
        Search(SPACE, RandomSearch(), total, costs={"c": raises}, constraints=BOUND, initial=initial)
    odd = SPACE.where(lambda found: found["k0"] == 1, "k0 = 1")
    with pytest.raises(ValueError, match="is refused: it breaks k0 = 1"):
        Search(odd, RandomSearch(), total, initial=initial)


def test_a_walk_through_a_whole_space_is_remembered() -> None:
    calls: Counter[Architecture] = Counter()

    def counted(architecture: Architecture) -> float:
        calls[architecture] += 1
        return 0.0

    space = SearchSpace(Choice(f"c{i}", range(30)) for i in range(3))  # 27,000, more than 20,000
    part = CostTable({"c": counted}, BOUND).constrained(space)
    for _ in range(2):
        assert sum(1 for _ in part) == 27_000
    assert set(calls.values()) == {1}


def test_the_memory_is_bounded_by_the_size_of_what_it_keeps() -> None:
    memory = Remembered(options=60)
    wide = [Architecture({f"c{i}": number for i in range(9)}) for number in range(50)]
    for architecture in wide:
        memory.of(architecture)["c"] = 1.0
    assert len(memory) == 6
    assert memory.of(wide[44]) == {"c": 1.0}
    memory.of(Architecture({"a": 1}))["c"] = 2.0
    assert memory.of(wide[44]) == {"c": 1.0}, "used last, so kept"
    assert memory.of(wide[45]) == {}, "forgotten"


def test_a_table_of_named_functions_can_be_pickled() -> None:
    table = CostTable({"c": total}, BOUND)
    architecture = next(iter(SPACE))
    assert table.of(architecture) == pickle.loads(pickle.dumps(table)).of(architecture) == {"c": 4.0}


def test_numpys_and_large_numbers_are_costs() -> None:
    architecture = next(iter(SPACE))
    table = CostTable({"a": lambda a: np.float32(0.5), "b": lambda a: np.int64(3)}, ())
    assert table.of(architecture) == {"a": 0.5, "b": 3.0}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"c": 12}, r"'c' must be a pair \(low, high\) .* such as \{'c': \(None, 12\)\}, not 12"),
        ({"c": (1, 2, 3)}, r"not \(1, 2, 3\)"),
        ({"c": "12"}, "not '12'"),
        ({"c": ("1", None)}, "low bound on 'c' must be a number or None, not '1'"),
        ({"c": (None, np.array([1, 2]))}, "high bound on 'c' must be a number or None"),
        ({"c": (None, True)}, "not True"),
        ({"c": (3, 2)}, "excludes everything"),
        ("c <= 12", r"given as .* not 'c <= 12'"),
        (12, "given as .* not 12"),
        ([("c", None, 12)], "given as"),
    ],
)
def test_constraints_of_another_form_are_refused_by_value_and_form(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        constraints_of(given)
    with pytest.raises(ValueError, match=message):
        Search(SPACE, RandomSearch(), total, costs={"c": total}, constraints=given)


def test_numpys_bounds_become_pythons() -> None:
    found = constraints_of({"c": [np.float32(0.5), np.int64(3)]})
    assert found == (Constraint("c", 0.5, 3),)
    assert [type(bound) for bound in found[0].bounds] == [float, int]


def test_a_cost_that_is_no_function_is_refused() -> None:
    with pytest.raises(ValueError, match="Cost 'c' must be a function of an architecture, not 12"):
        Search(SPACE, RandomSearch(), total, costs={"c": 12})  # type: ignore[dict-item]


def test_two_constraints_on_one_cost_are_refused() -> None:
    with pytest.raises(ValueError, match="There are 2 constraints on 'gflops'; give both bounds in one"):
        constraints_of([Constraint("gflops", None, 5), Constraint("other", 1), Constraint("gflops", 2)])
