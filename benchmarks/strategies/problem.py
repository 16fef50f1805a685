"""A search problem on a table, and who plays it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from autopanoptic.nas import Architecture
from benchmarks.strategies.table import Table

Done: TypeAlias = Callable[[int], bool]
"""Is told the row of every evaluation, in order, and returns whether that was the last."""


@dataclass(frozen=True)
class Problem:
    """What is searched for.

    Args:
        table: where the values come from.
        objectives: directions by column.
        highest: the largest value allowed of a column that is known before an evaluation, such as a latency.
    """

    table: Table
    objectives: Mapping[str, str]
    highest: Mapping[str, float] = field(default_factory=dict)

    def metrics(self, row: int) -> dict[str, float]:
        """Return the objectives of a row."""
        return {name: float(self.table.column(name)[row]) for name in self.objectives}

    def costs(self, *, minimised: bool = False) -> dict[str, Callable[[Architecture], float]]:
        """Return the bounded columns as functions of an architecture, and on request those that are minimised."""
        less = [name for name, way in self.objectives.items() if minimised and way == "min"]
        return {name: self._lookup(name) for name in (*self.highest, *less)}

    def _lookup(self, name: str) -> Callable[[Architecture], float]:
        column = self.table.column(name)
        return lambda architecture: float(column[self.table.row(architecture)])

    def allows(self, row: int) -> bool:
        """Return whether a row keeps the bounds."""
        return all(self.table.column(name)[row] <= high for name, high in self.highest.items())


class Unsuitable(ValueError):
    """A contestant cannot search such a problem, by what it is."""


class Contestant(ABC):
    """Someone who searches: a strategy of ours or a peer's."""

    @property
    @abstractmethod
    def about(self) -> str:
        """What it is, with all its parameters and, for a peer, the version."""

    @abstractmethod
    def play(self, problem: Problem, seed: int, done: Done) -> None:
        """Search until ``done`` returns True or there is nothing more to propose.

        Raises:
            Unsuitable: when it cannot search such a problem.
            ModuleNotFoundError: when what it needs is not installed.
        """

    @property
    def code(self) -> str:
        """Text that changes when its code changes, so that runs of older code are not taken for new ones."""
        return self.about
