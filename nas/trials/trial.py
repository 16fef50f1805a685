"""A trial: one architecture given to an evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.trials.budget import Budget, RungResult
from autopanoptic.nas.trials.evaluations import Evaluation, standard_errors
from autopanoptic.nas.trials.reports import NO_REPORTS, PartialResult, Reports


class TrialState(str, Enum):
    """Where a trial stands."""

    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Trial:
    """One architecture given to an evaluator; immutable, a new one replaces it as it goes on.

    Attributes:
        id: its number in the search, from 0.
        architecture: what is evaluated.
        state: running, then completed, failed or stopped (ended early by a stopping rule). With a schedule of budgets
            it may be paused in between, and run again with a larger one.
        metrics: what the evaluator and the cost functions returned; finite numbers. Of a trial that was paused, those
            of its largest budget so far.
        reports: partial results in the order they came, as (step, metrics); any sequence of them is taken.
        error: why it failed, with the traceback.
        seconds: how long the evaluation took; all of them where there were several.
        costs: what the search's cost functions gave, known from the first report on where there is a stopping rule. A
            cost is the same at every report, so evaluators need not repeat it.
        budget: of its evaluation, of the last one where none is under way; None in a search without budgets.
        rungs: what was measured at each budget, in ascending order.
        evaluations: of its architecture with its budget, so far, in a search that repeats them; its metrics are their
            means.
        kept: how many of the evaluations it had when it was promoted last, where those count on.
        attributes: what the evaluator and the user keep with it by ``set_attribute``, by name; values of JSON.
    """

    id: int
    architecture: Architecture
    state: TrialState = TrialState.RUNNING
    metrics: Mapping[str, float] = field(default_factory=dict)
    reports: Sequence[PartialResult] = field(default=(), repr=False)
    error: str | None = field(default=None, repr=False)
    seconds: float = 0.0
    costs: Mapping[str, float] = field(default_factory=dict, repr=False)
    budget: Budget | None = None
    rungs: Sequence[RungResult] = field(default=(), repr=False)
    evaluations: Sequence[Evaluation] = field(default=(), repr=False)
    attributes: Mapping[str, Any] = field(default_factory=dict, repr=False)
    kept: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        if type(self.reports) is not Reports:
            object.__setattr__(self, "reports", reports_of(self.reports))

    @property
    def reached(self) -> int:
        """The largest budget with which it was evaluated; 0 before the first, and in a search without budgets."""
        return self.rungs[-1].budget if self.rungs else 0

    @property
    def standard_errors(self) -> dict[str, float]:
        """The standard errors of those metrics that are means of several evaluations, by name.

        The sample standard deviation (with n - 1) over the root of n; empty where there are fewer than two.
        """
        return standard_errors(self.evaluations)


def with_changes(trial: Trial, **changes: Any) -> Trial:
    """Return a trial of which some attributes are others; ``dataclasses.replace`` is too slow for long journals.

    Raises:
        AttributeError: for a name that is none of them.
    """
    found = object.__new__(Trial)
    for name in _NAMES:
        object.__setattr__(found, name, getattr(trial, name))
    for name, value in changes.items():
        object.__setattr__(found, name, value)
    return found


_NAMES = tuple(one.name for one in fields(Trial))


def reports_of(values: Sequence[PartialResult]) -> Reports:
    """Return a trial's reports as the sequence that grows in constant time."""
    if type(values) is Reports:  # isinstance() looks for more than a search can afford
        return values
    return Reports(values) if values else NO_REPORTS


def begun_again(trial: Trial) -> Trial:
    """Return a trial whose evaluation begins again: running, as it was where it was paused, or anew.

    Other evaluations with its budget that have ended before count still.
    """
    kept = trial.rungs[-1].reports if trial.rungs else 0
    earlier = trial.rungs[-1].seconds if trial.rungs else 0.0
    return with_changes(
        trial,
        state=TrialState.RUNNING,
        error=None,
        metrics=trial.rungs[-1].metrics if trial.rungs else {},
        seconds=earlier + sum(evaluation.seconds for evaluation in trial.evaluations[trial.kept :]),
        reports=Reports(trial.reports[:kept]),
        costs=trial.costs if kept else {},
    )


def evaluated(trial: Trial, evaluation: Evaluation) -> Trial:
    """Return a trial of which one of several evaluations has ended, so that the next can begin."""
    return begun_again(with_changes(trial, evaluations=(*trial.evaluations, evaluation)))


def promoted(trial: Trial, budget: int, kept: int = 0) -> Trial:
    """Return a paused trial that runs with a larger budget, of whose evaluations the first ``kept`` count on."""
    larger, evaluations = Budget(trial.reached, budget), tuple(trial.evaluations[:kept])
    return with_changes(trial, state=TrialState.RUNNING, budget=larger, evaluations=evaluations, kept=len(evaluations))


def measured(
    trial: Trial,
    state: TrialState,
    metrics: Mapping[str, float],
    seconds: float,
    evaluation: Mapping[str, float] | None = None,
) -> Trial:
    """Return a trial that is completed or paused with the result of its evaluation.

    Args:
        trial: that is running.
        state: what it becomes.
        metrics: finite numbers.
        seconds: how long the evaluation took.
        evaluation: what it gave, where the metrics are means of several.
    """
    total = trial.seconds + seconds
    rungs = trial.rungs
    if trial.budget is not None:
        rungs = (*rungs, RungResult(trial.budget.end, metrics, total, len(trial.reports)))
    evaluations = trial.evaluations
    if evaluation is not None:
        evaluations = (*evaluations, Evaluation(evaluation, seconds))
    return with_changes(trial, state=state, metrics=metrics, seconds=total, rungs=rungs, evaluations=evaluations)
