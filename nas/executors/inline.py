"""Runs evaluations in the caller's own process, one at a time."""

from __future__ import annotations

from functools import partial
from typing import Any

from autopanoptic.nas.evaluation.context import Context
from autopanoptic.nas.evaluation.evaluator import Evaluator, Metrics
from autopanoptic.nas.executors.base import NO_CONTEXT, OnAttribute, OnReport, Outcome, not_kept, run_one
from autopanoptic.nas.space.architecture import Architecture


class InlineExecutor:
    """Runs each evaluation in this process when its result is waited for."""

    capacity = 1

    def __init__(self) -> None:
        self._evaluator: Evaluator | None = None
        self._next: tuple[int, Architecture, Context] | None = None
        self._trial_id, self._evaluation = -1, 0

    def start(
        self,
        evaluator: Evaluator,
        on_report: OnReport,
        *,
        answers: bool = True,
        on_attribute: OnAttribute = not_kept,
    ) -> None:
        """Keep the evaluator."""
        self._evaluator = evaluator
        self._on_report, self._on_attribute = on_report, on_attribute

    def submit(self, trial_id: int, architecture: Architecture, context: Context = NO_CONTEXT) -> None:
        """Keep the architecture for :meth:`wait`."""
        self._next = (trial_id, architecture, context)
        self._trial_id, self._evaluation = trial_id, self._evaluation + 1

    def has_begun(self, trial_id: int) -> bool:
        """Return whether :meth:`wait` has come to it."""
        return self._next is None or self._next[0] != trial_id

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """Evaluate what was submitted; a timeout cannot interrupt it, and one of 0 does not begin it."""
        if self._next is None or self._evaluator is None or timeout == 0:
            return None
        (trial_id, architecture, context), self._next = self._next, None
        report = partial(self._report, self._evaluation)
        attribute = partial(self._attribute, self._evaluation)
        return run_one(self._evaluator, trial_id, architecture, report, context, attribute)

    def _report(
        self, evaluation: int, trial_id: int, step: int, metrics: Metrics, seconds: float | None = None
    ) -> bool:
        return not self._runs_again(evaluation, trial_id) and self._on_report(trial_id, step, metrics, seconds)

    def _attribute(self, evaluation: int, trial_id: int, name: str, value: Any) -> None:
        if not self._runs_again(evaluation, trial_id):
            self._on_attribute(trial_id, name, value)

    def _runs_again(self, evaluation: int, trial_id: int) -> bool:
        """Whether a trial is evaluated once more, so that what an earlier evaluation says of it does not count."""
        return evaluation != self._evaluation and trial_id == self._trial_id

    def abandon(self, trial_id: int) -> bool:
        """Nothing can be ended here: an evaluation ends by itself, or at its next report."""
        return False

    def stop(self) -> None:
        """Forget what was submitted."""
        self._next = None
        self._evaluator = None
