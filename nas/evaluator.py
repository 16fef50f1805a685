"""Evaluators: they turn an architecture into named metrics."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

from autopanoptic.nas.architecture import Architecture

Metrics: TypeAlias = Mapping[str, float]


class StopTrial(Exception):
    """Raised by ``report`` when a stopping rule ends the trial; evaluators let it pass."""


class Report(Protocol):
    """Publishes a partial result of the running trial."""

    def __call__(self, step: int, metrics: Metrics) -> None:
        """Publish metrics after a number of steps (epochs, chunks of images: the evaluator's own unit).

        Raises:
            StopTrial: when a stopping rule ends the trial.
        """


@runtime_checkable
class Evaluator(Protocol):
    """Turns an architecture into named metrics.

    An exception fails the trial and is recorded with its traceback; the search goes on. To run in another process an
    evaluator must be picklable.
    """

    def evaluate(self, architecture: Architecture, report: Report) -> Metrics:
        """Return the metrics of an architecture; finite numbers, among them every objective."""


class FunctionEvaluator:
    """Evaluates with any function.

    Args:
        function: takes an architecture, or an architecture and ``report``; returns a mapping of metrics or one number.
        metric: the name of that number.
    """

    def __init__(self, function: Callable[..., Metrics | float], metric: str = "value") -> None:
        if not callable(function):
            raise TypeError(
                f"An evaluator must be a function or have evaluate(architecture, report), not {function!r}."
            )
        self.function = function
        self.metric = metric
        self._reports = _takes_report(function)

    def evaluate(self, architecture: Architecture, report: Report) -> Metrics:
        """Call the function."""
        found = self.function(architecture, report) if self._reports else self.function(architecture)
        return found if isinstance(found, Mapping) else {self.metric: found}


def _takes_report(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # some built-in functions have no signature
        return False
    required = [
        p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
    ]
    return len(required) > 1 or "report" in {p.name for p in required}
