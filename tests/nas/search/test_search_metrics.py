from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autopanoptic.nas import (
    Architecture,
    Choice,
    Constraint,
    GridSearch,
    History,
    InfeasibleError,
    RandomSearch,
    RegularizedEvolution,
    Result,
    Search,
    SearchError,
    SearchSpace,
    TrialState,
)


def value(architecture: Architecture) -> float:
    return sum(option for option in architecture.values() if isinstance(option, int))


def states(history: History) -> list[str]:
    return [trial.state.value for trial in history]


# What evaluators return


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ({"value": float("nan")}, "'value' is nan; it must be a finite number"),
        ({"value": float("-inf")}, "-inf"),
        ({"value": np.array([1.0, 2.0])}, "must be a finite number"),
        ({"value": "high"}, "must be a finite number"),
        ({"value": 10**400}, "must be a finite number"),
        ({"value": 1.0, "other": float("nan")}, "'other' is nan"),
        (None, "None"),
    ],
)
def test_metrics_that_cannot_be_ranked_fail_the_trial(space: SearchSpace, returned: Any, message: str) -> None:
    search = Search(space, RandomSearch(), lambda a: returned if len(search.history) == 2 else value(a))
    result = search.run(4)
    assert states(result.history) == ["completed", "failed", "completed", "completed"]
    assert message in (result.history[1].error or "")
    assert result.best.id != 1


def test_numpy_and_torch_scalars_become_floats(space: SearchSpace) -> None:
    import torch

    result = Search(space, RandomSearch(), lambda a: {"value": np.float32(2), "t": torch.tensor(3), "b": True}).run(1)
    assert result.best.metrics == {"value": 2.0, "t": 3.0, "b": 1.0}
    assert {type(number) for number in result.best.metrics.values()} == {float}


def test_missing_objective_ends_the_search_with_both_names(space: SearchSpace, tmp_path: Path) -> None:
    search = Search(space, RandomSearch(), lambda a: {"acc": 1.0}, objectives="accuracy", journal=tmp_path / "j")
    with pytest.raises(SearchError, match=r"returned \['acc'\], without the objective 'accuracy'"):
        search.run(5)
    assert states(Result.from_journal(tmp_path / "j").history) == ["failed"]


def test_failed_trials_keep_their_traceback_and_the_search_goes_on(space: SearchSpace) -> None:
    def sometimes(architecture: Architecture) -> float:
        if architecture["op"] == "pool":
            raise ArithmeticError("no pooling here")
        return 1.0

    result = Search(space, RandomSearch(), sometimes).run(20)
    failed = [trial for trial in result.history if trial.state is TrialState.FAILED]
    assert 0 < len(failed) < 20
    assert all("in sometimes" in (t.error or "") and "no pooling here" in (t.error or "") for t in failed)


def test_search_of_which_everything_fails_stops_early_with_the_first_error(space: SearchSpace) -> None:
    def broken(architecture: Architecture) -> float:
        raise KeyError(f"number {len(search.history) - 1}")

    search = Search(space, RandomSearch(), broken)
    with pytest.raises(SearchError, match=r"All 10 trials failed. The first, trial 0:(.|\n)*number 0"):
        search.run(500)
    assert len(search.history) == 10
    with pytest.raises(SearchError, match="All 3 trials failed"):
        Search(space, RandomSearch(), broken).run(3)


# Objectives, constraints, costs


def test_two_objectives(space: SearchSpace) -> None:
    search = Search(
        space,
        GridSearch(),
        lambda a: {"sum": value(a), "ones": list(a.values()).count(1)},
        objectives={"sum": "max", "ones": "min"},
    )
    front = search.run().pareto()
    assert len(front) == 64
    assert all(trial.architecture.get("size") == 5 for trial in front)


def test_constraint_holds_before_evaluation_and_costs_are_recorded(space: SearchSpace) -> None:
    seen: list[Architecture] = []
    search = Search(
        space,
        RandomSearch(),
        lambda a: seen.append(a) or 1.0,
        costs={"sum": value, "free": lambda a: len(a)},
        constraints={"sum": (3, 6)},
    )
    result = search.run(20)
    assert len(seen) == 20
    assert all(3 <= value(architecture) <= 6 for architecture in seen)
    assert result.history[0].metrics == {"sum": value(seen[0]), "free": len(seen[0]), "value": 1.0}


def test_constraint_without_cost_or_metric(space: SearchSpace, tmp_path: Path) -> None:
    search = Search(
        space,
        RandomSearch(),
        value,
        costs={"sum": value},
        constraints=[Constraint("gflops", high=1)],
        journal=tmp_path / "j",
    )
    with pytest.raises(SearchError, match=r"returned \['sum', 'value'\], without 'gflops', which a constraint bounds"):
        search.run(5)
    assert Result.from_journal(tmp_path / "j").history[0].state is TrialState.FAILED


def test_constraint_on_a_measured_metric_ranks_after_evaluation(space: SearchSpace, tmp_path: Path) -> None:
    def measured(architecture: Architecture) -> dict[str, float]:
        return {"value": value(architecture), "latency": value(architecture) ** 2}

    constraints = {"latency": (None, 16.0)}
    result = Search(space, RegularizedEvolution(8, 3), measured, constraints=constraints, journal=tmp_path / "j").run(
        60
    )
    latencies = [trial.metrics["latency"] for trial in result.history]
    assert max(latencies) > 16, "what breaks the constraint is evaluated, since nothing is known before"
    assert result.best.metrics["latency"] == 16
    assert all(trial.metrics["latency"] <= 16 for trial in result.pareto())
    again = Result.from_journal(tmp_path / "j")
    assert again.best.id == result.best.id
    other = Search(space, RegularizedEvolution(8, 3), measured, journal=tmp_path / "j2").run(60)
    assert other.history[59].architecture != result.history[59].architecture, "the strategy regards the constraint"


def test_no_trial_keeps_the_constraint(space: SearchSpace) -> None:
    result = Search(space, RandomSearch(), value, constraints={"value": (100, None)}).run(5)
    with pytest.raises(ValueError, match=r"None of the 5 completed trials keeps 100 <= value; trial \d comes nearest"):
        _ = result.best
    assert result.pareto() == []


def test_infeasible_constraint_states_the_acceptance_rate() -> None:
    large = SearchSpace([Choice(f"c{i}", range(10)) for i in range(10)])
    search = Search(large, RandomSearch(), value, costs={"sum": value}, constraints={"sum": (None, -1)})
    with pytest.raises(InfeasibleError, match=r"sum <= -1; 0 of 1000 tried so far satisfied it \(0.00%\)"):
        search.run(5)


def test_infeasible_small_space(space: SearchSpace) -> None:
    search = Search(space, RandomSearch(), value, costs={"sum": value}, constraints={"sum": (100, None)})
    with pytest.raises(InfeasibleError, match="None of the 192 architectures"):
        search.run(5)


def test_each_cost_is_worked_out_once(space: SearchSpace) -> None:
    calls: list[Architecture] = []
    Search(space, GridSearch(), value, costs={"n": lambda a: calls.append(a) or 1}, constraints={"n": (0, 2)}).run()
    assert len(calls) == len(set(calls)) == 192


def test_failing_cost_fails_the_trial_without_evaluating_it(space: SearchSpace) -> None:
    def cost(architecture: Architecture) -> float:
        if architecture["op"] == "pool":
            raise RuntimeError("no such kernel")
        return 1.0

    seen: list[Architecture] = []
    result = Search(space, RandomSearch(), lambda a: seen.append(a) or 1.0, costs={"flops": cost}).run(20)
    failed = [trial for trial in result.history if trial.state is TrialState.FAILED]
    assert len(failed) + len(seen) == 20
    assert failed
    assert all("no such kernel" in (trial.error or "") for trial in failed)


def test_costs_that_all_fail_end_the_search(space: SearchSpace) -> None:
    with pytest.raises(SearchError, match=r"All 10 trials failed(.|\n)*cost could not be worked out"):
        Search(space, RandomSearch(), value, costs={"flops": lambda a: float("nan")}).run(50)
