from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autopanoptic.nas.trials.pareto import hypervolume
from benchmarks.strategies import contestants, npz, summary
from benchmarks.strategies.nni_peer import Nni
from benchmarks.strategies.problem import Contestant, Done, Problem, Unsuitable
from benchmarks.strategies.protocols import Budget, Front, Protocol, UntilBest

OURS = ["random", "regularized-evolution-10-3", "evolution"]


class Rows(Contestant):
    """Evaluates given rows."""

    def __init__(self, *rows: int) -> None:
        self.rows = rows

    @property
    def about(self) -> str:
        return f"Rows{self.rows}"

    def play(self, problem: Problem, seed: int, done: Done) -> None:
        assert any(done(row) for row in self.rows)


def test_budget_ends_before_the_evaluation_that_would_cross_it(table_file: Path) -> None:
    table = npz.load(table_file)
    column = table.column("val12/cifar10")
    order = np.argsort(column)
    run = Budget(seconds=250.0).run(Rows(*order[[5, 40, 80]]), table, 0)  # an evaluation costs 100
    assert (run["evaluations"], run["spent"]) == (2, 200.0)
    assert run["test"] == {name: table.column(f"test200/{name}")[order[40]] for name in table.datasets("test200")}
    exact = Budget(seconds=300.0).run(Rows(*order[[5, 80, 40, 1]]), table, 0)
    assert exact["evaluations"] == 3
    assert exact["test"]["cifar10"] == table.column("test200/cifar10")[order[80]]


def test_until_best_counts_every_evaluation(table_file: Path) -> None:
    table = npz.load(table_file)
    column = table.column("test200/cifar10")
    worst, middle, best = np.argsort(column)[[0, 40, -1]].tolist()
    run = UntilBest("test200/cifar10", cap=10).run(Rows(worst, middle, worst, best, middle), table, 0)
    assert (run["evaluations"], run["distinct"], run["found"]) == (4, 3, True)
    regrets = [[1, column[best] - column[worst]], [2, column[best] - column[middle]], [4, 0.0]]
    assert [list(pair) for pair in run["improvements"]] == regrets
    capped = UntilBest("test200/cifar10", cap=3).run(Rows(worst, middle, worst, best), table, 0)
    assert (capped["evaluations"], capped["found"]) == (3, False)


def test_any_of_equal_bests_counts(arrays: dict[str, Any]) -> None:
    first, second = np.argsort(arrays["test200"][:, 0])[-2:].tolist()
    arrays["test200"][first, 0] = arrays["test200"][second, 0]
    table = npz.from_arrays("tie", arrays)
    protocol = UntilBest("test200/cifar10", cap=10)
    assert all(protocol.run(Rows(row), table, 0)["found"] for row in (first, second))


def test_a_bound_counts_only_what_keeps_it(table_file: Path) -> None:
    table = npz.load(table_file)
    latency, accuracy = table.column("latency_ms/gold_6226"), table.column("test200/cifar10")
    allowed = np.flatnonzero(latency <= 4)
    protocol = UntilBest("test200/cifar10", cap=10, bounded="latency_ms/gold_6226", bound=4)
    assert protocol.best(table) == accuracy[allowed].max() < accuracy.max()
    best = int(allowed[accuracy[allowed].argmax()])
    run = protocol.run(Rows(int(accuracy.argmax()), best), table, 0)
    assert (run["evaluations"], run["improvements"]) == (2, [(2, 0.0)])
    assert summary.regret_curve([run], [1, 2]) == {name: [None, 0.0] for name in ("q25", "median", "q75")}
    with pytest.raises(ValueError, match=r"No architecture of tiny has latency_ms/gold_6226 <= 0\.5"):
        UntilBest("test200/cifar10", 10, "latency_ms/gold_6226", 0.5).best(table)


def test_front_keeps_the_share_of_the_true_hypervolume(table_file: Path) -> None:
    table = npz.load(table_file)
    protocol = Front("test200/cifar10", "latency_ms/gold_6226", evaluations=81)
    assert protocol.checkpoints()[:3] == [10, 20, 30]
    assert protocol.checkpoints()[-1] == 81
    run = protocol.run(Rows(*range(81)), table, 0)
    gains, reference = protocol.gains(table), protocol.reference(table)
    assert run["hypervolume"][0] == hypervolume(gains[:10], reference) / hypervolume(gains, reference)
    assert run["hypervolume"][-1] == pytest.approx(1)
    assert (np.diff(run["hypervolume"]) > -1e-12).all()


@pytest.mark.parametrize(
    ("protocol", "names"),
    [
        (Budget(1500), [*OURS, "optuna-tpe", "optuna-nsga2", "nni-random", "nni-regularized-evolution-10-3"]),
        (UntilBest("test200/cifar100", 40), [*OURS, "optuna-random", "nni-random"]),
        (UntilBest("test200/cifar100", 60, "latency_ms/gold_6226", 6), [*OURS, "optuna-tpe", "optuna-nsga2"]),
        (Front("test200/cifar10", "latency_ms/gold_6226", 20), [*OURS, "optuna-tpe", "optuna-nsga2", "optuna-random"]),
    ],
)
def test_a_run_is_a_function_of_the_seed(table_file: Path, protocol: Protocol, names: list[str]) -> None:
    table = npz.load(table_file)
    for name in names:
        if name.startswith("optuna"):
            pytest.importorskip("optuna")
        first, second = (protocol.run(contestants.contestant(name), table, 0) for _ in range(2))
        assert first == second
        assert first["evaluations"] > 1


def test_ours_keep_the_bound_and_try_nothing_twice(table_file: Path) -> None:
    table = npz.load(table_file)
    problem = Problem(table, {"test200/cifar10": "max"}, {"latency_ms/gold_6226": 6})
    for name in OURS:
        rows: list[int] = []
        contestants.contestant(name).play(problem, 0, lambda row, rows=rows: rows.append(row) or len(rows) == 30)  # type: ignore[misc, func-returns-value]
        assert len(set(rows)) == 30
        assert all(problem.allows(row) for row in rows)


def test_peers_say_what_they_cannot_do(table_file: Path) -> None:
    table = npz.load(table_file)
    two = Problem(table, {"test200/cifar10": "max", "latency_ms/flat": "min"})
    bounded = Problem(table, {"test200/cifar10": "max"}, {"latency_ms/flat": 6})
    for problem in (two, bounded):
        with pytest.raises(Unsuitable, match="NNI's Random maximises one metric"):
            Nni("Random").play(problem, 0, lambda row: True)


@pytest.mark.parametrize("name", ["optuna-random", "nni-random", "nni-regularized-evolution-10-3", "evolution"])
def test_what_the_space_excludes_is_not_evaluated(table_file: Path, name: str) -> None:
    if name.startswith("optuna"):
        pytest.importorskip("optuna")
    whole = npz.load(table_file)
    part = replace(whole, space=whole.space.where(lambda architecture: architecture["a"] != "skip", "a is not skip"))
    allowed = {whole.row(architecture) for architecture in part.space}
    rows: list[int] = []

    def done(row: int) -> bool:
        rows.append(row)
        return len(rows) == 30

    contestants.contestant(name).play(Problem(part, {"test200/cifar10": "max"}), 0, done)
    assert len(rows) == 30
    assert set(rows) < allowed
