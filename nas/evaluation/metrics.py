"""What an evaluator may return."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from autopanoptic.nas.trials.objective import Constraint, Objective


class MissingObjectiveError(ValueError):
    """An evaluator returned metrics without one of the search's objectives or constraints."""


def checked(metrics: Any) -> dict[str, float]:
    """Return the metrics as plain floats.

    Raises:
        ValueError: when they are not a mapping of names to finite numbers; names the first that is not.
    """
    if not isinstance(metrics, Mapping):
        raise ValueError(f"An evaluator must return a mapping of metrics, not {metrics!r}.")
    return {str(name): _number(name, value) for name, value in metrics.items()}


def _number(name: object, value: Any) -> float:
    try:
        number = value.item() if hasattr(value, "item") else value  # numpy and torch scalars
        finite = isinstance(number, Real) and math.isfinite(number)
    except (OverflowError, RuntimeError, TypeError, ValueError):  # several elements, or beyond a float's range
        finite = False
    if not finite:
        raise ValueError(f"Metric {name!r} is {value!r}; it must be a finite number.")
    return float(number)


def whole_step(step: Any) -> int:
    """Return the step of a partial result as a plain integer.

    Raises:
        ValueError: when it is no whole number; nothing is rounded or read from text.
    """
    try:
        if isinstance(step, bool):
            raise TypeError
        return operator.index(step)
    except TypeError:
        raise ValueError(f"A report's step must be a whole number, such as an epoch, not {step!r}.") from None


def checked_seconds(value: Any) -> float:
    """Return a duration as a plain float.

    Raises:
        ValueError: when it is no finite number from 0.
    """
    seconds = checked({"seconds": value})["seconds"]
    if seconds < 0:
        raise ValueError(f"seconds must be a number from 0, not {value!r}.")
    return seconds


def check_complete(
    metrics: Mapping[str, float], objectives: Sequence[Objective], constraints: Sequence[Constraint]
) -> None:
    """Check that every objective and every constraint is among the metrics.

    Raises:
        MissingObjectiveError: names the first that is missing.
    """
    for objective in objectives:
        if objective.name not in metrics:
            raise MissingObjectiveError(
                f"The evaluator returned {sorted(metrics)}, without the objective {objective.name!r}."
            )
    for constraint in constraints:
        if constraint.name not in metrics:
            raise MissingObjectiveError(
                f"The evaluator returned {sorted(metrics)}, without {constraint.name!r}, which a constraint bounds. "
                "Return it, or give costs= a function of that name to check it before the evaluation."
            )
