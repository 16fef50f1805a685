"""Strategies of the library, driven as a user drives them: ``Search.ask`` and ``Search.tell``."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autopanoptic.nas import Search, SearchSpace
from autopanoptic.nas.strategy import Strategy
from autopanoptic.nas.trials.objective import objectives_of
from benchmarks.strategies.problem import Contestant, Done, Problem, Unsuitable


@dataclass(frozen=True)
class Ours(Contestant):
    """A strategy of the library by its public name, or one of your own by its module and class.

    Args:
        name: as :mod:`autopanoptic.strategies` exports it, or ``MODULE:CLASS``; loaded when it is needed.
        parameters: arguments of the class; the rest keep their defaults.
        known: whether it is told what is minimised before an evaluation, as the costs of a search.
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    known: bool = False

    def make(self) -> Strategy:
        """Return the strategy."""
        found: Strategy = self._class()(**self.parameters)
        return found

    def _class(self) -> Any:
        module, _, name = self.name.rpartition(":")
        return getattr(importlib.import_module(module or "autopanoptic.strategies"), name)

    @property
    def about(self) -> str:
        """What it is, with its parameters."""
        return repr(self.make()) + (" with known costs" if self.known else "")

    @property
    def code(self) -> str:
        """Its parameters and a digest of its module and of those that this one takes from the strategies."""
        digest = hashlib.sha256(b"".join(_sources(self._class())))
        return f"{self.about} {digest.hexdigest()[:10]}"

    def play(self, problem: Problem, seed: int, done: Done) -> None:
        """Search; see :meth:`Contestant.play`."""
        constraints = {name: (None, high) for name, high in problem.highest.items()}
        costs = problem.costs(minimised=self.known)
        strategy = self.make()
        require_suitable(strategy, problem.table.space, problem.objectives)
        search = Search(
            problem.table.space,
            strategy,
            objectives=problem.objectives,
            costs=costs,
            constraints=constraints,
            seed=seed,
        )
        while (trial := search.ask()) is not None:
            row = problem.table.row(trial.architecture)
            search.tell(trial, {name: problem.metrics(row)[name] for name in problem.objectives if name not in costs})
            if done(row):
                return


def _sources(strategy: type) -> list[bytes]:
    """Return the source of a strategy's module and of its helpers; not of what all strategies share."""
    own = sys.modules[strategy.__module__]
    used = {str(getattr(value, "__module__", "")) for value in vars(own).values()}
    helpers = {name for name in used if name.startswith("autopanoptic.strategies.")} - {own.__name__}
    return [inspect.getsource(sys.modules[name]).encode() for name in (own.__name__, *sorted(helpers))]


def require_suitable(strategy: Strategy, space: SearchSpace, objectives: Mapping[str, str]) -> None:
    """Ask a strategy whether it can search a space by these objectives.

    Raises:
        Unsuitable: when it cannot.
    """
    try:
        strategy.check(space, objectives_of(objectives))
    except ValueError as error:
        raise Unsuitable(str(error)) from error
