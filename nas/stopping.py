"""Stopping rules: they end a trial early by its partial results."""

from __future__ import annotations

from typing import Protocol

from autopanoptic.nas.evaluator import Metrics
from autopanoptic.nas.history import History
from autopanoptic.nas.trial import Trial


class Stopper(Protocol):
    """Decides whether a running trial goes on."""

    def should_stop(self, history: History, trial: Trial, step: int, metrics: Metrics) -> bool:
        """Return whether to end ``trial`` after it reported ``metrics`` at ``step``.

        ``trial.reports`` and the history hold this report and all earlier ones.
        """
