"""Evaluators: they turn an architecture into named metrics."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

from autopanoptic.nas.evaluation.context import Context
from autopanoptic.nas.space.architecture import Architecture

Metrics: TypeAlias = Mapping[str, float]


class StopTrial(Exception):
    """Raised by ``report`` when a stopping rule ends the trial; evaluators let it pass."""


class Report(Protocol):
    """Publishes a partial result of the running trial."""

    @property
    def context(self) -> Context:
        """What the search tells of the trial."""

    def __call__(self, step: int, metrics: Metrics) -> None:
        """Publish metrics after a number of steps (epochs, chunks of images: the evaluator's own unit).

        Raises:
            StopTrial: when a stopping rule ends the trial.
            ValueError: when the step is no whole number or a metric no finite one; where the evaluator lets it pass,
                the trial fails.
        """


class Unheard:
    """A report of an evaluation that is of no search: nobody hears it.

    Args:
        context: what the evaluator is told.
    """

    def __init__(self, context: Context | None = None) -> None:
        self.context = Context() if context is None else context

    def __call__(self, step: int, metrics: Metrics) -> None:
        """Do nothing."""


@runtime_checkable
class Evaluator(Protocol):
    """Turns an architecture into named metrics.

    An exception fails the trial and is recorded with its traceback; the search goes on. To run in another process an
    evaluator must be picklable by cloudpickle.
    """

    def evaluate(self, architecture: Architecture, report: Report) -> Metrics:
        """Return the metrics of an architecture; finite numbers, among them every objective."""


class FunctionEvaluator:
    """Evaluates with any function.

    Args:
        function: takes an architecture, and ``report`` and ``context`` where it has such parameters (see
            :func:`with_report`); returns a mapping of metrics or one number.
        metric: the name of that number.

    Raises:
        TypeError: when ``function`` cannot be called.
    """

    def __init__(self, function: Callable[..., Metrics | float], metric: str = "value") -> None:
        if not callable(function) or isinstance(function, type):
            raise TypeError(
                f"An evaluator must be a function or have evaluate(architecture, report), not {function!r}."
            )
        self.function = function
        self.metric = metric
        self._call = with_report(function)

    def evaluate(self, architecture: Architecture, report: Report) -> Metrics:
        """Call the function."""
        found = self._call(architecture, report)
        return found if isinstance(found, Mapping) else {self.metric: found}


def evaluator_of(value: Any, metric: str) -> Evaluator | None:
    """Return the evaluator that a user gave, or one of a function that they gave.

    Raises:
        TypeError: when it is neither.
    """
    if value is None or (isinstance(value, Evaluator) and not isinstance(value, type)):
        return value
    return FunctionEvaluator(value, metric)


def context_of(report: Report) -> Context:
    """Return what the search tells of a trial; where ``report`` is a plain function, that there is no search."""
    found: Context = getattr(report, "context", Context())
    return found


def with_report(function: Callable[..., Any]) -> Callable[[Any, Report], Any]:
    """Return a function of a value and ``report`` that calls one which may do without ``report``.

    ``report`` is passed on where the function has a parameter of that name, or a second one without a default, and the
    trial's :class:`Context` where it has one of the name ``context``.
    """
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # some built-in functions have no signature
        return lambda value, report: function(value)
    named = {name for name, p in parameters.items() if p.kind is not inspect.Parameter.POSITIONAL_ONLY}
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [name for name, p in parameters.items() if p.kind in positional and p.default is p.empty]
    second = "report" not in named and len([name for name in required if name != "context"]) > 1

    def call(value: Any, report: Report) -> Any:
        given: dict[str, Any] = {"report": report} if "report" in named else {}
        if "context" in named:
            given["context"] = context_of(report)
        return function(value, report, **given) if second else function(value, **given)

    return call
