"""What an executor is, and how it runs one evaluation."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from autopanoptic.nas.evaluation.evaluator import Evaluator, Metrics, StopTrial
from autopanoptic.nas.evaluation.metrics import checked
from autopanoptic.nas.space.architecture import Architecture

OnReport: TypeAlias = Callable[[int, int, Metrics], bool]
"""Takes (trial id, step, metrics) and returns whether the trial shall stop."""


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
    """

    trial_id: int
    metrics: Metrics | None = None
    error: str | None = None
    stopped: bool = False
    died: bool = False
    seconds: float = 0.0


class Executor(Protocol):
    """Runs evaluators somewhere and hands their results back as they finish."""

    capacity: int
    """How many trials run at a time."""

    def start(self, evaluator: Evaluator, on_report: OnReport) -> None:
        """Get ready to run an evaluator; called before the first :meth:`submit` of each run."""

    def submit(self, trial_id: int, architecture: Architecture) -> None:
        """Begin an evaluation; called only while fewer than ``capacity`` are under way, results held back included."""

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """Return the next result; None after ``timeout`` seconds without one."""

    def stop(self) -> None:
        """Abandon what is under way and free all resources."""


def run_one(evaluator: Evaluator, trial_id: int, architecture: Architecture, on_report: OnReport) -> Outcome:
    """Evaluate an architecture; an exception becomes part of the outcome.

    So does SystemExit, with which training loops are known to end, for instance when a loss is not finite.
    """

    def report(step: int, metrics: Metrics) -> None:
        if on_report(trial_id, int(step), checked(metrics)):
            raise StopTrial

    start = time.perf_counter()
    try:
        # Plain numbers also travel from another process, where a tensor or an open file might not.
        metrics = checked(evaluator.evaluate(architecture, report))
    except StopTrial:
        return Outcome(trial_id, stopped=True, seconds=time.perf_counter() - start)
    except (Exception, SystemExit):
        return Outcome(trial_id, error=traceback.format_exc(), seconds=time.perf_counter() - start)
    return Outcome(trial_id, metrics=metrics, seconds=time.perf_counter() - start)
