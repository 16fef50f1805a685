"""Whole searches with a cost among the objectives, which the evaluator does not report."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autopanoptic.nas import (
    Architecture,
    Choice,
    ProcessExecutor,
    Racing,
    RandomSearch,
    Search,
    SearchError,
    SearchSpace,
    Stopper,
    Strategy,
    SuccessiveHalving,
    TrialState,
)
from autopanoptic.strategies import NSGA2

STEPS = 27
SPACE = SearchSpace(Choice(f"c{i}", range(5)) for i in range(4))
OBJECTIVES = {"pq": "max", "gflops": "min"}
RULES: list[Stopper] = [
    Racing(STEPS, top=2),
    Racing(STEPS, top=2, bound="betting", low=-20, high=80),
    Racing(STEPS, top=2, by="objectives"),
    SuccessiveHalving(max_step=STEPS),
    SuccessiveHalving(max_step=STEPS, spread="crowding"),
    SuccessiveHalving(max_step=STEPS, by="objectives"),
]


def gflops(architecture: Architecture) -> float:
    return 1.0 + sum(int(option) for option in architecture.values())


def pq_of(architecture: Architecture) -> np.ndarray:
    """Chunks: more FLOPs are better by and large."""
    options = [int(option) for option in architecture.values()]
    rng = np.random.default_rng(options)
    return 30 + gflops(architecture) + rng.normal(0, 4) + rng.normal(0, 3, STEPS)


def measure(architecture: Architecture, report: Callable[..., None]) -> dict[str, float]:
    chunks = pq_of(architecture)
    for step in range(1, STEPS + 1):
        report(step, {"pq": float(chunks[:step].mean())})
    return {"pq": float(chunks.mean())}


def made(stopper: Stopper | None, evaluate: Any = measure, strategy: Strategy | None = None, **given: Any) -> Search:
    costs = given.pop("costs", {"gflops": gflops})
    chosen = RandomSearch() if strategy is None else strategy
    return Search(SPACE, chosen, evaluate, objectives=OBJECTIVES, costs=costs, stopper=stopper, **given)


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("strategy", [RandomSearch(), NSGA2(population=12)], ids=repr)
def test_it_saves_work_and_keeps_most_of_the_front(rule: Stopper, strategy: Strategy) -> None:
    search = made(rule, strategy=strategy, seed=1)
    result = search.run(80)
    steps = sum(len(trial.reports) for trial in result.history)
    assert steps < 0.8 * 80 * STEPS
    assert {trial.state for trial in result.history} == {TrialState.COMPLETED, TrialState.STOPPED}
    whole = made(None, initial=[trial.architecture for trial in result.history])
    reference = {"pq": 0.0, "gflops": 20.0}
    assert result.hypervolume(reference) > 0.95 * whole.run(80).hypervolume(reference)


class Interrupted:
    """The same measurement, with Ctrl-C at one of its reports."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, architecture: Architecture, report: Callable[..., None]) -> dict[str, float]:
        def counted(step: int, metrics: dict[str, float]) -> None:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
            report(step, metrics)

        return measure(architecture, counted)


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_an_interrupted_search_makes_the_same_decisions(rule: Stopper, tmp_path: Path) -> None:
    whole = made(rule)
    whole.run(20)
    with pytest.raises(KeyboardInterrupt):
        made(rule, Interrupted(60), journal=tmp_path / "j").run(20)
    resumed = made(rule, journal=tmp_path / "j")
    assert 2 < len(resumed.history) < 20
    resumed.run(20)
    assert [replace(t, seconds=0.0) for t in resumed.history] == [replace(t, seconds=0.0) for t in whole.history]
    assert any(trial.state is TrialState.STOPPED for trial in whole.history)


def test_a_measured_cost_is_the_journals_when_a_search_goes_on(tmp_path: Path) -> None:
    """A latency is never the same twice; what earlier trials cost must not change under a rule."""
    for factor in (1.0, 100.0):
        search = made(
            SuccessiveHalving(), costs={"gflops": lambda a, factor=factor: factor * gflops(a)}, journal=tmp_path / "j"
        )
        trials = [search.ask() for _ in range(3)]
        for trial in trials:
            assert trial is not None
            search.report(trial, 1, {"pq": 1.0})
            search.report(trial, 2, {"pq": 1.0})
        search.close()
    events = [json.loads(line) for line in (tmp_path / "j").read_text().splitlines()]
    recorded = [(event["trial"], event.get("costs")) for event in events if event["event"] == "reported"]
    first = {trial.id: gflops(trial.architecture) for trial in search.history}
    expected = [{"gflops": first[0]}, None, {"gflops": first[1]}, None, {"gflops": first[2]}, None]
    assert [costs for _, costs in recorded[:6]] == expected
    assert [trial.costs for trial in made(SuccessiveHalving(), journal=tmp_path / "j").history[:3]] == [
        {"gflops": 100 * first[number]} for number in range(3)
    ], "they were run again"


def test_parallel_workers_report_no_cost_either() -> None:
    search = made(Racing(STEPS, top=2), executor=ProcessExecutor(2))
    result = search.run(24)
    assert {trial.state for trial in result.history} == {TrialState.COMPLETED, TrialState.STOPPED}
    assert all(trial.costs == {"gflops": gflops(trial.architecture)} for trial in result.history)


def test_without_a_rule_reports_are_as_they_were(tmp_path: Path) -> None:
    search = made(None, journal=tmp_path / "j")
    search.run(2)
    assert "costs" not in (tmp_path / "j").read_text()


def test_an_objective_that_is_neither_reported_nor_a_cost_ends_the_search_with_the_reason() -> None:
    for rule in RULES:
        with pytest.raises(SearchError, match=r"compares trials by 'gflops', .*only \['pq'\] at step 1.*costs="):
            made(rule, lambda a, report: {**measure(a, report), "gflops": 1.0}, costs={}).run(9)


def test_one_of_the_objectives_alone_may_be_compared() -> None:
    def only_pq(architecture: Architecture, report: Callable[..., None]) -> dict[str, float]:
        return {**measure(architecture, report), "gflops": gflops(architecture)}

    for metric, better in (("pq", max), ("gflops", min)):
        given = {"costs": {}} if metric == "pq" else {}
        search = made(SuccessiveHalving(reduction=2, max_step=STEPS, metric=metric), only_pq, **given)
        history = search.run(40).history
        value = {"pq": lambda t: float(pq_of(t.architecture)[0]), "gflops": lambda t: gflops(t.architecture)}[metric]
        assert better(history, key=value).state is TrialState.COMPLETED
        assert history.n_completed < 25
