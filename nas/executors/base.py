"""What an executor is, and how it runs one evaluation."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

from autopanoptic.nas.evaluation.context import Context
from autopanoptic.nas.evaluation.evaluator import Evaluator, Metrics, Report, StopTrial
from autopanoptic.nas.evaluation.metrics import checked, whole_step
from autopanoptic.nas.executors.places import device_of_worker
from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.storage.journal import JournalError


class OnReport(Protocol):
    """Takes a partial result."""

    def __call__(self, trial_id: int, step: int, metrics: Metrics, seconds: float | None = None, /) -> bool:
        """Return whether the trial shall stop.

        Args:
            trial_id: of the trial.
            step: of the evaluation.
            metrics: that it has reached.
            seconds: for which the evaluation has run, without what it waited for the answers to its reports; None where
                that is not known, as of a thread that the evaluator has started, so that the search's clock counts.
        """


OnAttribute: TypeAlias = Callable[[int, str, Any], None]
"""Takes (trial id, name, value), of which the value is one of JSON's."""

NO_CONTEXT = Context()

MOST_DEATHS_BEFORE_READY = 3
"""How often in a row each worker may die, on average, before any of them is ready."""


def not_kept(trial_id: int, name: str, value: Any) -> None:
    """Take an attribute outside of a search, where it is not kept."""


@dataclass(frozen=True)
class Outcome:
    """How one evaluation ended.

    Attributes:
        trial_id: of which trial.
        metrics: what the evaluator returned; None unless it completed.
        error: the traceback of the evaluator's exception, or how the worker died; None unless one did.
        stopped: whether a stopping rule ended it.
        died: whether the worker died, which says nothing of the architecture.
        seconds: how long it took.
        error_types: the qualified names ("module.qualname") of the class of the evaluator's exception and of its bases,
            in the order of resolution; empty unless an exception failed the trial.
    """

    trial_id: int
    metrics: Metrics | None = None
    error: str | None = None
    stopped: bool = False
    died: bool = False
    seconds: float = 0.0
    error_types: tuple[str, ...] = ()


class Executor(Protocol):
    """Runs evaluators somewhere and hands their results back as they finish."""

    capacity: int
    """How many trials run at a time."""

    def start(
        self,
        evaluator: Evaluator,
        on_report: OnReport,
        *,
        answers: bool = True,
        on_attribute: OnAttribute = not_kept,
    ) -> None:
        """Get ready to run an evaluator; called before the first :meth:`submit` of each run.

        With ``answers=False`` no rule stops trials, so that an evaluation need not wait for what ``on_report`` returns;
        where that is True all the same, the trial ends as soon as the executor can see to it.
        """

    def submit(self, trial_id: int, architecture: Architecture, context: Context = NO_CONTEXT) -> None:
        """Begin an evaluation; called only while fewer than ``capacity`` are under way, results held back included.

        The evaluator gets the context as ``report.context``.
        """

    def has_begun(self, trial_id: int) -> bool:
        """Return whether an evaluation that was submitted has begun; False while its worker is still getting ready."""

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """Return the next result; None after ``timeout`` seconds without one.

        With ``timeout=0`` it only looks, and begins none itself.
        """

    def abandon(self, trial_id: int) -> bool:
        """End the evaluation of a trial at once; no outcome of it follows.

        Returns:
            False where that cannot be done, or where the trial is not under way.
        """

    def stop(self) -> None:
        """Abandon what is under way and free all resources."""


def run_one(
    evaluator: Evaluator,
    trial_id: int,
    architecture: Architecture,
    on_report: OnReport,
    context: Context = NO_CONTEXT,
    on_attribute: OnAttribute = not_kept,
) -> Outcome:
    """Evaluate an architecture; an exception becomes part of the outcome.

    The evaluator finds the device of this process in its context.

    So does SystemExit, with which training loops are known to end, for instance when a loss is not finite.

    Raises:
        JournalError: when ``on_report`` or ``on_attribute`` raises it, also where the evaluator has caught it: that
            something could not be written down says nothing of the architecture.
    """
    report = _Reporter(trial_id, on_report, on_attribute, context)
    outcome = _outcome(evaluator, trial_id, architecture, report)
    if report.unwritten is not None:
        raise report.unwritten
    return outcome


class _Reporter:
    """What an evaluator gets as ``report``."""

    def __init__(self, trial_id: int, on_report: OnReport, on_attribute: OnAttribute, context: Context) -> None:
        self._trial_id, self._on_report, self._on_attribute = trial_id, on_report, on_attribute
        self.context = replace(context, device=device_of_worker(), publish=self._publish)
        self.unwritten: JournalError | None = None
        self._began, self._waited = time.perf_counter(), 0.0
        self._thread = threading.get_ident()

    def __call__(self, step: int, metrics: Metrics) -> None:
        number, found = whole_step(step), checked(metrics)
        with self._waiting() as seconds, self._remembering_what_is_unwritten():
            stop = self._on_report(self._trial_id, number, found, seconds)
        if stop:
            raise StopTrial

    def _publish(self, name: str, value: Any) -> None:
        with self._waiting(), self._remembering_what_is_unwritten():
            self._on_attribute(self._trial_id, name, value)

    @contextmanager
    def _waiting(self) -> Iterator[float | None]:
        """Leave what the block takes out of the evaluation's time, and give that so far.

        Other threads of the evaluator give None: while one of them waits the evaluation goes on.
        """
        if threading.get_ident() != self._thread:
            yield None
            return
        now = time.perf_counter()
        try:
            yield now - self._began - self._waited
        finally:
            self._waited += time.perf_counter() - now

    @contextmanager
    def _remembering_what_is_unwritten(self) -> Iterator[None]:
        try:
            yield
        except JournalError as problem:
            self.unwritten = self.unwritten or problem
            raise


def _outcome(evaluator: Evaluator, trial_id: int, architecture: Architecture, report: Report) -> Outcome:
    start = time.perf_counter()
    try:
        # Plain numbers also travel from another process, where a tensor or an open file might not.
        metrics = checked(evaluator.evaluate(architecture, report))
    except StopTrial:
        return Outcome(trial_id, stopped=True, seconds=time.perf_counter() - start)
    except (Exception, SystemExit) as problem:
        return failed(trial_id, problem, time.perf_counter() - start)
    return Outcome(trial_id, metrics=metrics, seconds=time.perf_counter() - start)


def failed(trial_id: int, problem: BaseException, seconds: float = 0.0) -> Outcome:
    """Return the outcome of a trial that an exception ended."""
    error = "".join(traceback.format_exception(problem))
    types = tuple(f"{kind.__module__}.{kind.__qualname__}" for kind in type(problem).__mro__)
    return Outcome(trial_id, error=error, seconds=seconds, error_types=types)
