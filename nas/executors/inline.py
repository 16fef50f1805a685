"""Runs evaluations in the caller's own process, one at a time."""

from __future__ import annotations

from autopanoptic.nas.evaluation.evaluator import Evaluator
from autopanoptic.nas.executors.base import OnReport, Outcome, run_one
from autopanoptic.nas.space.architecture import Architecture


class InlineExecutor:
    """Runs each evaluation in this process when its result is waited for."""

    capacity = 1

    def __init__(self) -> None:
        self._evaluator: Evaluator | None = None
        self._next: tuple[int, Architecture] | None = None

    def start(self, evaluator: Evaluator, on_report: OnReport, *, answers: bool = True) -> None:
        """Keep the evaluator."""
        self._evaluator = evaluator
        self._on_report = on_report

    def submit(self, trial_id: int, architecture: Architecture) -> None:
        """Keep the architecture for :meth:`wait`."""
        self._next = (trial_id, architecture)

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """Evaluate what was submitted; a timeout cannot interrupt it."""
        if self._next is None or self._evaluator is None:
            return None
        (trial_id, architecture), self._next = self._next, None
        return run_one(self._evaluator, trial_id, architecture, self._on_report)

    def abandon(self, trial_id: int) -> bool:
        """Nothing can be ended here: an evaluation ends by itself, or at its next report."""
        return False

    def stop(self) -> None:
        """Forget what was submitted."""
        self._next = None
        self._evaluator = None
