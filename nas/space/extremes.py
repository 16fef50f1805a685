"""The largest and the smallest architecture of a space."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.space.space import SearchSpace

STARTS = 3
"""Random starts besides the other end, where a constraint stands in the way."""


class Extremes(NamedTuple):
    """The ends of a space by a cost.

    Attributes:
        largest: the architecture that costs most.
        smallest: the architecture that costs least.
    """

    largest: Architecture
    smallest: Architecture


def extremes(space: SearchSpace, cost: Callable[[Architecture], float]) -> Extremes:
    """Return the architectures of a space that cost most and least.

    Each choice takes the option that changes the cost most, together with the best options of the choices that it turns
    on, again and again until no choice gains by another one. Where the amount that an option adds has the same sign
    beside all others, as those of widths, depths and kernels do in FLOPs, these are the very ends of the space; of
    another cost they are architectures that no other option of a single choice betters. Under a constraint that refuses
    the ends of the whole space they are the best of several climbs among what it accepts, again up to one option.

    Every option is costed two or three times in all, each architecture once.

    Args:
        space: what to look through.
        cost: of an architecture, such as :class:`FlopCount`; a finite number.

    Raises:
        ValueError: when a cost is not finite; names the architecture.
        InfeasibleError: when the space's constraint refuses nearly everything.
    """
    costs = _Costs(cost)
    free = space.unconstrained
    first = Architecture({})
    for choice in free.choices:
        if choice.active(first):
            first = Architecture({**first, choice.label: choice.options[0]})
    first = free.canonical(first)
    smallest = _Climb(free, costs, -1).from_(first)
    largest = _Climb(free, costs, 1).from_(first)
    if not space.accepts(smallest):
        smallest = _among_accepted(space, costs, -1, [])
    if not space.accepts(largest):
        largest = _among_accepted(space, costs, 1, [smallest])
    return Extremes(largest, smallest)


def _among_accepted(space: SearchSpace, costs: _Costs, sign: int, starts: list[Architecture]) -> Architecture:
    drawn = [space.sample(np.random.default_rng([0, index])) for index in range(STARTS)]
    found = [_Climb(space, costs, sign).from_(start) for start in (*starts, *drawn)]
    return max(found, key=lambda architecture: sign * costs(architecture))


class _Costs:
    """A cost that is worked out once for each architecture."""

    def __init__(self, cost: Callable[[Architecture], float]) -> None:
        self._cost = cost
        self._known: dict[Architecture, float] = {}

    def __call__(self, architecture: Architecture) -> float:
        if architecture not in self._known:
            value = float(self._cost(architecture))
            if not math.isfinite(value):
                raise ValueError(f"The cost of {dict(architecture)} is {value}; it must be a finite number.")
            self._known[architecture] = value
        return self._known[architecture]


class _Climb:
    """Changes one choice after another for a higher (sign 1) or a lower (-1) cost."""

    def __init__(self, space: SearchSpace, costs: _Costs, sign: int) -> None:
        self.space = space
        self.costs = costs
        self.sign = sign
        self._settled: dict[str, Option] = {}  # the best option of each choice when it was first turned on

    def from_(self, architecture: Architecture) -> Architecture:
        """Return where the climb from an accepted architecture ends."""
        while True:
            found = architecture
            for choice in self.space.choices:
                if choice.label in found:
                    found = self._best(found, choice.label)
            if self._rank(found) <= self._rank(architecture):
                return architecture
            architecture = found

    def _best(self, architecture: Architecture, label: str) -> Architecture:
        """Return the best of an architecture and those that differ in one choice and in what it turns on."""
        best = architecture
        for option in self.space[label].options:
            if option != architecture[label]:
                changed = self._changed(architecture, label, option)
                if self._rank(changed) > self._rank(best):
                    best = changed
        return best

    def _changed(self, architecture: Architecture, label: str, option: Option) -> Architecture:
        changed = self.space.changed(architecture, label, option)
        # Children before parents, so that the option that a parent has is compared with its children's best.
        for turned_on in reversed([other for other in changed if other not in architecture]):
            if turned_on not in changed:  # a parent has turned it off again
                continue
            if turned_on not in self._settled:
                changed = self._best(changed, turned_on)
                self._settled[turned_on] = changed[turned_on]
            elif changed[turned_on] != self._settled[turned_on]:
                # To look for the best each time would go through all that a chain of conditions leads to.
                changed = self._changed(changed, turned_on, self._settled[turned_on])
        return changed

    def _rank(self, architecture: Architecture) -> tuple[bool, float]:
        return self.space.accepts(architecture), self.sign * self.costs(architecture)
