"""Stopping rules: they end a trial early by its partial results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from autopanoptic.nas.evaluation.evaluator import Metrics
from autopanoptic.nas.hyperparameters import ShownHyperparameters
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Objective
from autopanoptic.nas.trials.trial import Trial


class Stopper(ShownHyperparameters, ABC):
    """Decides whether a running trial goes on; a function of the history, as a strategy is.

    Its ``repr`` shows its parameters and nothing else, because a journal keeps it to recognise its search. A stopped
    trial has no metrics and is never ranked, whatever its strategy.
    """

    @abstractmethod
    def should_stop(self, history: History, trial: Trial, step: int, metrics: Metrics) -> bool:
        """Return whether to end ``trial`` after it reported ``metrics`` at ``step``.

        ``trial.reports`` and the history hold this report and all earlier ones; ``trial.costs`` holds the costs.
        """

    def check(self, objectives: Sequence[Objective]) -> None:
        """Refuse objectives that the rule cannot regard; called when a search is made.

        Raises:
            ValueError: says what the rule cannot do.
        """


def known_at(trial: Trial, metrics: Metrics) -> dict[str, float]:
    """Return what is known of a trial at a report: what was reported, and the costs that were not."""
    return {**trial.costs, **metrics}


def missing_objective(owner: str, name: str, trial: Trial, step: int, metrics: Metrics) -> ValueError:
    """Return the error for a report without an objective that is no cost either."""
    return ValueError(
        f"{owner} compares trials by {name!r}, but trial {trial.id} reported only {sorted(metrics)} at step {step}. "
        f"Report {name!r} each time, or, where it is known before the evaluation, give it to the search in costs=."
    )
