"""Objectives, which rank trials, and constraints, which exclude architectures before they are evaluated."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np


@dataclass(frozen=True)
class Objective:
    """A metric and the direction in which it is better.

    Args:
        name: the metric's name.
        direction: ``"max"`` or ``"min"``.

    Raises:
        ValueError: for a name that is no text, or another direction.
    """

    name: str
    direction: str = "max"

    def __post_init__(self) -> None:
        _check_name("Objective", self.name)
        if self.direction not in ("max", "min"):
            raise ValueError(f"Objective {self.name!r} has direction {self.direction!r}; use 'max' or 'min'.")

    def gain(self, metrics: Mapping[str, float]) -> float:
        """Return the metric, negated where less is better, so that more is always better."""
        return metrics[self.name] if self.direction == "max" else -metrics[self.name]


def _check_name(what: str, name: object) -> None:
    if not isinstance(name, str) or not name:
        raise ValueError(f"{what} on {name!r}: the name of a metric must be a non-empty text.")


Objectives: TypeAlias = str | Mapping[str, str] | Sequence[Objective]
"""``"accuracy"`` (to be maximised), ``{"accuracy": "max", "latency_ms": "min"}``, or objects."""


def objectives_of(values: Objectives) -> tuple[Objective, ...]:
    """Return the objectives that a user gave in any of the accepted forms.

    Raises:
        ValueError: when there is none, or two have one name.
    """
    if isinstance(values, str):
        found: tuple[Objective, ...] = (Objective(values),)
    elif isinstance(values, Mapping):
        found = tuple(Objective(name, direction) for name, direction in values.items())
    else:
        found = tuple(values) if isinstance(values, Iterable) else (values,)
    if not all(isinstance(objective, Objective) for objective in found):
        raise ValueError(f'Objectives are given as "accuracy" or {{"accuracy": "max"}}, not {values!r}.')
    names = [objective.name for objective in found]
    if not found or len(set(names)) < len(names):
        raise ValueError(f"A search needs one or more objectives with different names, not {names}.")
    return found


@dataclass(frozen=True)
class Constraint:
    """Bounds on a metric; where it is a cost, an architecture that breaks them is not evaluated at all.

    Args:
        name: the metric's name.
        low: the smallest value allowed; None for no bound.
        high: the largest value allowed; None for no bound.

    Raises:
        ValueError: for a name that is no text, a bound that is no number, or bounds that exclude everything.
    """

    name: str
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        _check_name("Constraint", self.name)
        for end in ("low", "high"):
            given = getattr(self, end)
            bound = given.item() if isinstance(given, np.generic) else given
            if bound is not None and (isinstance(bound, bool) or not isinstance(bound, (int, float))):
                raise ValueError(f"The {end} bound on {self.name!r} must be a number or None, not {given!r}.")
            object.__setattr__(self, end, bound)
        low, high = self.bounds
        if math.isnan(low) or math.isnan(high) or low > high:
            raise ValueError(f"Constraint on {self.name!r} from {self.low} to {self.high} excludes everything.")

    @property
    def bounds(self) -> tuple[float, float]:
        """The two bounds, infinite where there is none."""
        return (-math.inf if self.low is None else self.low, math.inf if self.high is None else self.high)

    def allows(self, value: float) -> bool:
        """Return whether the value lies within the bounds, ends included."""
        low, high = self.bounds
        return low <= value <= high

    def violation(self, value: float) -> float:
        """Return how far the value lies beyond its bound, relative to the bound where that is not 0; else 0."""
        low, high = self.bounds
        if self.allows(value):
            return 0.0
        bound = low if value < low else high
        return abs(value - bound) / (abs(bound) or 1.0)

    def __str__(self) -> str:
        low, high = self.bounds
        bounds = [f"{low:g} <= " if low > -math.inf else "", f" <= {high:g}" if high < math.inf else ""]
        return self.name.join(bounds)
