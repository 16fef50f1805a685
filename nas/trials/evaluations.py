"""Several evaluations of one architecture, with different seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Evaluation(NamedTuple):
    """One of several evaluations of an architecture.

    Attributes:
        metrics: what the evaluator returned; finite numbers.
        seconds: how long it took.
    """

    metrics: Mapping[str, float]
    seconds: float


def means(measured: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the means of metrics that have the same names each time."""
    return {name: _mean([float(one[name]) for one in measured]) for name in measured[0]}


def _mean(values: Sequence[float]) -> float:
    try:
        return math.fsum(values) / len(values)
    except OverflowError:  # their sum is beyond a float's range
        return math.fsum(value / len(values) for value in values)


def standard_errors(evaluations: Sequence[Evaluation]) -> dict[str, float]:
    """Return the standard errors of the means, by name; none of fewer than two evaluations."""
    count = len(evaluations)
    if count < 2:
        return {}
    names = evaluations[0].metrics.keys()
    return {name: _sd([float(one.metrics[name]) for one in evaluations]) / math.sqrt(count) for name in names}


def _sd(values: Sequence[float]) -> float:
    scale = max(map(abs, values))  # squares of large ones are beyond a float's range
    return scale * statistics.stdev([value / scale for value in values]) if scale else 0.0
