"""A choice of a search space and the condition under which it is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from autopanoptic.nas.space.architecture import Option
from autopanoptic.nas.space.conditions import Condition, conditions_of
from autopanoptic.nas.space.options import options_of, weights_of


@dataclass(frozen=True)
class Choice:
    """One decision of a search space.

    Args:
        label: the name, unique in the space.
        options: the values to choose from, in order; JSON scalars, all different. Numpy's scalars become Python's.
            Members of an ``Enum`` that derives from ``str`` or ``int``, too, stay what they are, also where a journal
            is read back; in the file stand their values. A set is refused, because its order is not its own.
        condition: the choice is made while any of these holds, always where there is none. Give a single pair such
            as ``("op", "conv")``, a pair with several options (a list, range, set or array) such as
            ``("depth", (2, 3))``, or a list of pairs.
        weights: what is known of the options beforehand: where one is drawn, its probability is its share of the
            weights. One positive number per option; None for equal ones.

    Raises:
        ValueError: for an empty label, no options, options that are equal or not JSON scalars, or conditions or
            weights that do not fit them.
    """

    label: str
    options: tuple[Option, ...]
    conditions: tuple[Condition, ...] = ()
    weights: tuple[float, ...] | None = None

    def __init__(
        self, label: str, options: Iterable[Option], condition: Any = (), weights: Iterable[float] | None = None
    ) -> None:
        if not isinstance(label, str) or not label:
            raise ValueError(f"A choice's label must be a non-empty string, not {label!r}.")
        found = options_of(label, options)
        object.__setattr__(self, "label", label)
        object.__setattr__(self, "options", found)
        object.__setattr__(self, "conditions", conditions_of(label, condition))
        object.__setattr__(self, "weights", weights_of(label, found, weights))

    @cached_property
    def probabilities(self) -> tuple[float, ...]:
        """The probability of each option where one is drawn at random."""
        weights = self.weights or (1.0,) * len(self.options)
        total = sum(weights)
        return tuple(weight / total for weight in weights)

    def another(self, option: Option, rng: np.random.Generator) -> Option:
        """Return another option than the given one, drawn by the weights; there must be two."""
        others = [other for other in self.options if other != option]
        if self.weights is None:
            return others[rng.integers(len(others))]
        weights = [weight for other, weight in zip(self.options, self.weights, strict=True) if other != option]
        return others[rng.choice(len(others), p=np.array(weights) / sum(weights))]

    def active(self, options: Mapping[str, Option]) -> bool:
        """Return whether the choice is made, given the options of the active choices before it."""
        if not self.conditions:
            return True
        return any(label in options and options[label] in allowed for label, allowed in self.conditions)

    def to_json(self) -> dict[str, Any]:
        """Return the choice as a JSON object."""
        found: dict[str, Any] = {"label": self.label, "options": list(self.options)}
        if self.conditions:
            found["conditions"] = [[label, list(allowed)] for label, allowed in self.conditions]
        if self.weights is not None:
            found["weights"] = list(self.weights)
        return found

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Choice:
        """Read a choice back from :meth:`to_json`."""
        conditions = [(label, tuple(allowed)) for label, allowed in values.get("conditions", ())]
        return cls(values["label"], values["options"], conditions, values.get("weights"))
