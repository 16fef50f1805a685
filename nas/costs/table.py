"""The costs of architectures, each worked out once, and the constraints on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

from autopanoptic.nas.evaluation.metrics import checked
from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.trials.objective import Constraint

Cost: TypeAlias = Callable[[Architecture], float]
Constraints: TypeAlias = Mapping[str, tuple[float | None, float | None]] | Sequence[Constraint]
REMEMBERED = 20_000


class CostTable:
    """Functions of an architecture that are cheap beside its evaluation, and bounds on them.

    The last 20,000 values of each are remembered, because strategies ask for an architecture's costs again and again.

    Args:
        costs: the functions by name.
        constraints: (low, high) by name, or objects. Those on a cost are checked before an evaluation, those on any
            other metric after it.
    """

    def __init__(self, costs: Mapping[str, Cost], constraints: Constraints) -> None:
        self._costs = {name: lru_cache(REMEMBERED)(cost) for name, cost in costs.items()}
        self.constraints = constraints_of(constraints)
        self._known_before = tuple(constraint for constraint in self.constraints if constraint.name in costs)

    def of(self, architecture: Architecture) -> dict[str, float]:
        """Return all costs of an architecture.

        Raises:
            ValueError: when one is not a finite number.
        """
        return {name: self._one(name, architecture) for name in self._costs}

    def allows(self, architecture: Architecture) -> bool:
        """Return whether an architecture keeps all constraints on costs."""
        return all(c.allows(self._one(c.name, architecture)) for c in self._known_before)

    def _one(self, name: str, architecture: Architecture) -> float:
        return checked({name: self._costs[name](architecture)})[name]

    def constrained(self, space: SearchSpace) -> SearchSpace:
        """Return the part of a space that keeps the constraints on costs."""
        if not self._known_before:
            return space
        return space.where(self.allows, " and ".join(map(str, self._known_before)))

    def to_json(self) -> dict[str, list[float | None]]:
        """Return the constraints as a JSON object of [low, high]; None where there is no bound."""
        return {c.name: [None if abs(b) == float("inf") else b for b in c.bounds] for c in self.constraints}


def constraints_of(values: Constraints) -> tuple[Constraint, ...]:
    """Return the constraints that a user gave in any of the accepted forms."""
    if isinstance(values, Mapping):
        return tuple(Constraint(name, low, high) for name, (low, high) in values.items())
    return tuple(values)
