"""How far a trial is evaluated, and what was measured where it stood before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Budget(NamedTuple):
    """From where an evaluation goes on, and to where, in a unit of the evaluator's: epochs, steps, images.

    ``for epoch in range(*budget)`` trains the epochs that are missing.

    Attributes:
        start: what the trial has behind it; 0 for a new one.
        end: where the evaluation ends.
    """

    start: int
    end: int


class RungResult(NamedTuple):
    """What was measured of a trial at one budget.

    Attributes:
        budget: at which the evaluation ended.
        metrics: finite numbers.
        seconds: how long all evaluations up to it took.
        reports: how many partial results had come by then.
    """

    budget: int
    metrics: Mapping[str, float]
    seconds: float
    reports: int
