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

        ``trial.reports`` and the history hold this report and all earlier ones.
        """

    def check(self, objectives: Sequence[Objective]) -> None:
        """Refuse objectives that the rule cannot regard; called when a search is made.

        Raises:
            ValueError: says what the rule cannot do.
        """


def require_one_objective(owner: str, objectives: Sequence[Objective]) -> None:
    """Refuse several objectives, for a rule under which a trial beaten in one may be the best in another.

    Raises:
        ValueError: names them.
    """
    if len(objectives) > 1:
        names = [objective.name for objective in objectives]
        raise ValueError(
            f"{owner} compares trials by one objective, not by {names}. Make one the objective and give the others as "
            "constraints, or search without it."
        )
