"""The protocols: what a contestant searches for, when it ends, and what is kept of a run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autopanoptic.nas.trials.pareto import hypervolume
from benchmarks.strategies.problem import Contestant, Problem
from benchmarks.strategies.table import Table

CHECKPOINTS = (10, 20, 30, 40, 50, 60, 80, 100, 120, 150, 200, 250, 300, 400, 500, 700, 1000)


class Protocol(ABC):
    """One protocol with its settings; a run of it is a function of (contestant, table, seed)."""

    @abstractmethod
    def run(self, contestant: Contestant, table: Table, seed: int) -> dict[str, Any]:
        """Play one run, and return what is kept of it as a JSON object."""

    @property
    @abstractmethod
    def problem(self) -> str:
        """Names what is searched for, in the results."""

    @property
    def settings(self) -> dict[str, Any]:
        """The protocol's name and parameters, as a JSON object."""
        return {"protocol": type(self).__name__, **asdict(self)}  # type: ignore[call-overload]


@dataclass(frozen=True)
class Budget(Protocol):
    """Searches by one column until the simulated time is spent, and reports the test accuracies of what it found.

    Dong and Yang 2020 ("NAS-Bench-201", section 5): the search sees the validation accuracy after 12 epochs on
    CIFAR-10, each evaluation costs its training time, and the best by that accuracy is reported. As in their code, an
    evaluation that would end after the budget does not count, and ends the search.

    Args:
        seconds: the budget.
        column: what the search sees.
        cost: the column of an evaluation's seconds.
        answer: the measure that is reported, on each data set.
    """

    seconds: float = 12_000.0
    column: str = "val12/cifar10"
    cost: str = "cost12_s_c10valid"
    answer: str = "test200"

    @property
    def problem(self) -> str:
        """What is searched for."""
        return self.column

    def run(self, contestant: Contestant, table: Table, seed: int) -> dict[str, Any]:
        """Play one run; ``spent`` is in seconds, ``test`` in percent by data set."""
        costs = table.column(self.cost)
        rows: list[int] = []
        spent = 0.0

        def done(row: int) -> bool:
            nonlocal spent
            if spent + costs[row] > self.seconds:
                return True
            spent += float(costs[row])
            rows.append(row)
            return False

        contestant.play(Problem(table, {self.column: "max"}), seed, done)
        chosen = max(rows, key=lambda row: table.column(self.column)[row])  # the earliest of equals
        test = {
            dataset: float(table.column(f"{self.answer}/{dataset}")[chosen]) for dataset in table.datasets(self.answer)
        }
        return {"evaluations": len(rows), "spent": spent, "test": test}


@dataclass(frozen=True)
class UntilBest(Protocol):
    """Searches directly by a column until the architecture with its largest value is evaluated.

    White et al. 2020 ("Exploring the loss landscape in neural architecture search"), Wu et al. 2021 ("Stronger NAS with
    weaker predictors", WeakNAS). Where several architectures have the largest value, any of them counts.

    Args:
        column: what the search sees.
        cap: a run ends without success after so many evaluations.
        bounded: a column that must not be larger than ``bound``; the best is that of the architectures that keep it.
        bound: in the unit of the column.
    """

    column: str
    cap: int
    bounded: str | None = None
    bound: float = float("inf")

    @property
    def problem(self) -> str:
        """What is searched for."""
        return self.column if self.bounded is None else f"{self.column}, {self.bounded} <= {self.bound:g}"

    def of(self, table: Table) -> Problem:
        """Return the search problem."""
        return Problem(table, {self.column: "max"}, {} if self.bounded is None else {self.bounded: self.bound})

    def best(self, table: Table) -> float:
        """Return the largest value that keeps the bound.

        Raises:
            ValueError: when no architecture does.
        """
        problem = self.of(table)
        allowed = [row for row in table.members if problem.allows(row)]
        if not allowed:
            raise ValueError(f"No architecture of {table.name} has {self.bounded} <= {self.bound:g}.")
        return float(table.column(self.column)[allowed].max())

    def run(self, contestant: Contestant, table: Table, seed: int) -> dict[str, Any]:
        """Play one run.

        Returns:
            The number of ``evaluations``, repeated ones included, and of ``distinct`` architectures among them; whether
            the best was ``found``; the ``improvements`` as [evaluation from 1, regret].
        """
        values, best, problem = table.column(self.column), self.best(table), self.of(table)
        rows: list[int] = []
        improvements: list[tuple[int, float]] = []

        def done(row: int) -> bool:
            rows.append(row)
            regret = best - float(values[row])
            if problem.allows(row) and (not improvements or regret < improvements[-1][1]):
                improvements.append((len(rows), regret))
            return len(rows) >= self.cap or (bool(improvements) and improvements[-1][1] <= 0)

        contestant.play(problem, seed, done)
        found = bool(improvements) and improvements[-1][1] <= 0
        return {"evaluations": len(rows), "distinct": len(set(rows)), "found": found, "improvements": improvements}


@dataclass(frozen=True)
class Front(Protocol):
    """Searches for all trade-offs between an accuracy and a latency.

    Kept is the hypervolume (Zitzler and Thiele 1998) at :data:`CHECKPOINTS`, as the share of that of the table's true
    front. Its reference point is the table's median accuracy and its largest latency.

    Args:
        accuracy: the column that is maximised.
        latency: the column that is minimised.
        evaluations: a run has so many.
    """

    accuracy: str
    latency: str
    evaluations: int = 500

    @property
    def problem(self) -> str:
        """What is searched for."""
        return f"{self.accuracy} and {self.latency}"

    def gains(self, table: Table) -> NDArray[np.float64]:
        """Return both columns so that more is better, shape (rows, 2)."""
        return np.stack([table.column(self.accuracy), -table.column(self.latency)], axis=1)

    def reference(self, table: Table) -> tuple[float, float]:
        """Return the reference point, in the sense of :meth:`gains`."""
        gains = self.gains(table)[table.members]
        return float(np.median(gains[:, 0])), float(gains[:, 1].min())

    def checkpoints(self) -> list[int]:
        """Return after how many evaluations the hypervolume is kept."""
        return [*(count for count in CHECKPOINTS if count < self.evaluations), self.evaluations]

    def run(self, contestant: Contestant, table: Table, seed: int) -> dict[str, Any]:
        """Play one run; ``hypervolume`` is a list of shares, one for each of :meth:`checkpoints`."""
        gains, reference = self.gains(table), self.reference(table)
        rows: list[int] = []

        def done(row: int) -> bool:
            rows.append(row)
            return len(rows) >= self.evaluations

        contestant.play(Problem(table, {self.accuracy: "max", self.latency: "min"}), seed, done)
        whole = hypervolume(gains[table.members], reference)
        shares = [hypervolume(gains[rows[:count]], reference) / whole for count in self.checkpoints()]
        return {"evaluations": len(rows), "distinct": len(set(rows)), "hypervolume": shares}
