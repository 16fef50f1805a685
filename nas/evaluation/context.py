"""What an evaluator may know of the trial that it evaluates, beside its architecture."""

from __future__ import annotations

from dataclasses import dataclass

from autopanoptic.nas.trials.budget import Budget


@dataclass(frozen=True)
class Context:
    """What a search tells an evaluator of a trial.

    A function that evaluates gets it as its parameter ``context``, an :class:`Evaluator` as ``report.context``.

    Attributes:
        trial_id: the trial's number in its search; None outside of one.
        budget: from where to where the trial is evaluated; None in a search without budgets.
    """

    trial_id: int | None = None
    budget: Budget | None = None
