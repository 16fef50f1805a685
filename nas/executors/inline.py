"""Runs evaluations in the caller's own process, one at a time."""

from __future__ import annotations

from functools import partial

from autopanoptic.nas.evaluation.context import Context
from autopanoptic.nas.evaluation.evaluator import Evaluator, Metrics
from autopanoptic.nas.executors.base import NO_CONTEXT, OnReport, Outcome, run_one
from autopanoptic.nas.space.architecture import Architecture


class InlineExecutor:
    """Runs each evaluation in this process when its result is waited for."""

    capacity = 1

    def __init__(self) -> None:
        self._evaluator: Evaluator | None = None
        self._next: tuple[int, Architecture, Context] | None = None
        self._trial_id, self._evaluation = -1, 0

    def start(self, evaluator: Evaluator, on_report: OnReport, *, answers: bool = True) -> None:
        """Keep the evaluator."""
        self._evaluator = evaluator
        self._on_report = on_report

    def submit(self, trial_id: int, architecture: Architecture, context: Context = NO_CONTEXT) -> None:
        """Keep the architecture for :meth:`wait`."""
        self._next = (trial_id, architecture, context)
        self._trial_id, self._evaluation = trial_id, self._evaluation + 1

    def has_begun(self, trial_id: int) -> bool:
        """Return True: nothing needs to get ready."""
        return True

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """Evaluate what was submitted; a timeout cannot interrupt it, and one of 0 does not begin it."""
        if self._next is None or self._evaluator is None or timeout == 0:
            return None
        (trial_id, architecture, context), self._next = self._next, None
        return run_one(self._evaluator, trial_id, architecture, partial(self._report, self._evaluation), context)

    def _report(self, evaluation: int, trial_id: int, step: int, metrics: Metrics) -> bool:
        if evaluation != self._evaluation and trial_id == self._trial_id:
            return False  # the trial runs again, and this is not of it
        return self._on_report(trial_id, step, metrics)

    def abandon(self, trial_id: int) -> bool:
        """Nothing can be ended here: an evaluation ends by itself, or at its next report."""
        return False

    def stop(self) -> None:
        """Forget what was submitted."""
        self._next = None
        self._evaluator = None
