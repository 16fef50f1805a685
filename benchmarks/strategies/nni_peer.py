"""Strategies of NNI 3.0 (``nni.nas.strategy``), on an execution engine that looks results up in a table.

An experiment of NNI's starts a server and processes for every trial; its strategies take any engine, so this one
answers at once, in this process. The strategies themselves are NNI's, unchanged.
"""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any

from benchmarks.strategies.problem import Contestant, Done, Problem, Unsuitable


@dataclass(frozen=True)
class Nni(Contestant):
    """A strategy by its name.

    Args:
        name: the class in ``nni.nas.strategy``.
        parameters: its arguments.
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def about(self) -> str:
        """What it is, with its parameters."""
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.parameters.items())
        return f"nni {_nni().version} {self.name}({arguments})"

    def play(self, problem: Problem, seed: int, done: Done) -> None:
        """Search; see :meth:`Contestant.play`."""
        if problem.highest or len(problem.objectives) != 1 or set(problem.objectives.values()) != {"max"}:
            raise Unsuitable(f"NNI's {self.name} maximises one metric, without constraints.")
        nni = _nni()
        choices = {
            choice.label: nni.Categorical(list(choice.options), label=choice.label)
            for choice in problem.table.space.choices
        }
        strategy = getattr(nni.strategies, self.name)(seed=seed, **self.parameters)
        strategy(nni.Space(nni.MutableDict(choices), None), _engine_class()(problem, done))


@cache
def _nni() -> SimpleNamespace:
    """Import NNI quietly; see :mod:`autopanoptic.nas.supernet._nni`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import autopanoptic.nas.supernet._nni  # noqa: F401  # sets NNI's framework before the imports below

        mutable = importlib.import_module("nni.mutable")
        space = importlib.import_module("nni.nas.space")
        found = SimpleNamespace(
            version=importlib.import_module("nni").__version__,
            strategies=importlib.import_module("nni.nas.strategy"),
            engine=importlib.import_module("nni.nas.execution").ExecutionEngine,
            Categorical=mutable.Categorical,
            MutableDict=mutable.MutableDict,
            Space=space.RawFormatModelSpace,
            Status=space.ModelStatus,
        )
    logging.getLogger("nni").setLevel(logging.ERROR)
    return found


@cache
def _engine_class() -> Any:
    """Return the engine's class, which derives from one of NNI's."""
    nni = _nni()

    class TableEngine(nni.engine):  # type: ignore[name-defined]
        """Answers every model at once, until the benchmark has seen enough."""

        def __init__(self, problem: Problem, done: Done) -> None:
            super().__init__()
            self.problem = problem
            self.done = done
            self.enough = False

        def submit_models(self, *models: Any) -> None:
            for model in models:
                if not self.enough:
                    self._evaluate(model)

        def _evaluate(self, model: Any) -> None:
            architecture = self.problem.table.space.canonical(model.sample)
            if not self.problem.table.space.accepts(architecture):  # fails, and does not count
                self.dispatch_model_event("training_end", model=model, status=nni.Status.Failed)
                return
            row = self.problem.table.row(architecture)
            (value,) = self.problem.metrics(row).values()
            self.dispatch_model_event("final_metric", model=model, metric=value)
            self.dispatch_model_event("training_end", model=model, status=nni.Status.Trained)
            self.enough = self.done(row)

        def wait_models(self, *models: Any) -> None:
            """No model is ever left running."""

        def list_models(self, status: Any = None) -> Iterable[Any]:
            return []

        def idle_worker_available(self) -> bool:
            return True

        def budget_available(self) -> bool:
            return not self.enough

    return TableEngine
