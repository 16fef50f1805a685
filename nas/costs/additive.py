"""Costs that are sums over the choices, known after one measurement per option."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.space.space import SearchSpace

VERIFIED = 3


class AdditiveCost:
    """A cost to which each choice adds an amount of its own, whatever the other choices are.

    FLOPs and parameters are such costs where no option changes the shapes that later layers see, so not where widths
    are chosen: a layer costs the product of two. The first architecture is measured in full, and so is each option when
    it is first met, in place of that architecture's own; then any architecture costs a sum. The sums of the first three
    architectures that differ from it in two choices or more, and no later ones, are compared with the cost measured in
    full.

    Args:
        space: of which no choice may be conditional.
        cost: the cost to add up, such as :class:`FlopCount`; its values must be exact, so give it no unit.
        unit: what one is worth; 1e9 gives GFLOPs.

    Raises:
        ValueError: when the space has a conditional choice, or the cost is known to be no sum because elastic layers
            multiply sizes (its ``why_no_sum`` says so); or, on use, when one of those three comparisons fails.
    """

    def __init__(self, space: SearchSpace, cost: Callable[[Architecture], float], unit: float = 1.0) -> None:
        conditional = [choice.label for choice in space.choices if choice.conditions]
        if conditional:
            raise ValueError(f"Choice {conditional[0]!r} is conditional, so its options add no fixed amount.")
        why: str | None = getattr(cost, "why_no_sum", None)
        if why is not None:
            raise ValueError(f"{why} Use LayerCosts, or the cost itself, instead of AdditiveCost.")
        self.space = space
        self.cost = cost
        self.unit = unit
        self._reference: tuple[Architecture, float] | None = None
        self._added: dict[tuple[str, Option], float] = {}
        self._verified: set[Architecture] = set()

    def __call__(self, architecture: Mapping[str, Option]) -> float:
        """Return the cost."""
        canonical = self.space.without_inactive(architecture)
        if self._reference is None:
            self._reference = (canonical, self.cost(canonical))
        first = self._reference[0]
        changed = [item for item in canonical.items() if item[1] != first[item[0]]]
        total = self._reference[1] + sum(map(self._difference, changed))
        if len(changed) > 1 and len(self._verified) < VERIFIED and canonical not in self._verified:
            self._verify(canonical, total)
        return total / self.unit

    def _difference(self, item: tuple[str, Option]) -> float:
        assert self._reference is not None
        reference, base = self._reference
        label, option = item
        if item not in self._added:
            self._added[item] = self.cost(self.space.without_inactive(reference.replace(label, option))) - base
        return self._added[item]

    def _verify(self, architecture: Architecture, total: float) -> None:
        measured = self.cost(architecture)
        if not math.isclose(total, measured, rel_tol=1e-9):
            raise ValueError(
                f"The cost of {architecture.id} is {measured:g}, but its choices add up to {total:g}: the cost of an "
                "option depends on other choices. Use LayerCosts, or the cost itself, instead of AdditiveCost."
            )
        self._verified.add(architecture)
