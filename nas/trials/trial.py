"""A trial: one architecture given to an evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.trials.reports import PartialResult, Reports


class TrialState(str, Enum):
    """Where a trial stands."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Trial:
    """One architecture given to an evaluator; immutable, a new one replaces it as it goes on.

    Attributes:
        id: its number in the search, from 0.
        architecture: what is evaluated.
        state: running, then completed, failed or stopped (ended early by a stopping rule).
        metrics: what the evaluator and the cost functions returned; finite numbers.
        reports: partial results in the order they came, as (step, metrics); any sequence of them is taken.
        error: why it failed, with the traceback.
        seconds: how long the evaluation took.
        costs: what the search's cost functions gave, known from the first report on where there is a stopping rule. A
            cost is the same at every report, so evaluators need not repeat it.
    """

    id: int
    architecture: Architecture
    state: TrialState = TrialState.RUNNING
    metrics: Mapping[str, float] = field(default_factory=dict)
    reports: Sequence[PartialResult] = field(default_factory=Reports, repr=False)
    error: str | None = field(default=None, repr=False)
    seconds: float = 0.0
    costs: Mapping[str, float] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reports", reports_of(self.reports))


def reports_of(values: Sequence[PartialResult]) -> Reports:
    """Return a trial's reports as the sequence that grows in constant time."""
    return values if isinstance(values, Reports) else Reports(values)
