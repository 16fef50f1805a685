"""A choice of a search space and the condition under which it is made."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from autopanoptic.nas.space.architecture import Option

Condition: TypeAlias = tuple[str, tuple[Option, ...]]
"""(label, options): holds while the choice of that label is made and takes one of the options."""


@dataclass(frozen=True)
class Choice:
    """One decision of a search space.

    Args:
        label: the name, unique in the space.
        options: the values to choose from; JSON scalars, all different.
        condition: the choice is made while any of these holds, always where there is none. Give a single pair such
            as ``("op", "conv")``, a pair with several options ``("depth", (2, 3))``, or a list of pairs.
        weights: what is known of the options beforehand: where one is drawn, its probability is its share of the
            weights. One positive number per option; None for equal ones.

    Raises:
        ValueError: for an empty label, no options, options that are equal or not JSON scalars, or weights that do not
            fit them.
    """

    label: str
    options: tuple[Option, ...]
    conditions: tuple[Condition, ...] = ()
    weights: tuple[float, ...] | None = None

    def __init__(
        self, label: str, options: Iterable[Option], condition: Any = (), weights: Iterable[float] | None = None
    ) -> None:
        if isinstance(options, str):
            raise ValueError(f"Choice {label!r} needs a list of options, not the text {options!r}.")
        object.__setattr__(self, "label", label)
        object.__setattr__(self, "options", tuple(options))
        object.__setattr__(self, "conditions", _conditions(label, condition))
        object.__setattr__(self, "weights", None if weights is None else tuple(weights))
        self._check()
        self._check_weights()

    def _check(self) -> None:
        if not isinstance(self.label, str) or not self.label:
            raise ValueError(f"A choice's label must be a non-empty string, not {self.label!r}.")
        if not self.options:
            raise ValueError(f"Choice {self.label!r} has no options.")
        for option in self.options:
            if not isinstance(option, (str, int, float, bool)) or (
                isinstance(option, float) and not math.isfinite(option)
            ):
                raise ValueError(
                    f"Option {option!r} of choice {self.label!r} must be a string, a finite number or a boolean."
                )
        if len(set(self.options)) < len(self.options):
            raise ValueError(f"Choice {self.label!r} has equal options among {list(self.options)}.")

    def _check_weights(self) -> None:
        if self.weights is None:
            return
        if len(self.weights) != len(self.options):
            raise ValueError(
                f"Choice {self.label!r} has {len(self.options)} options, but the {len(self.weights)} weights "
                f"{self.weights}."
            )
        for option, weight in zip(self.options, self.weights, strict=True):
            if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < math.inf:
                raise ValueError(
                    f"The weight of option {option!r} of choice {self.label!r} must be a positive number, not "
                    f"{weight!r}. Leave out an option that shall never be taken."
                )

    @property
    def probabilities(self) -> tuple[float, ...]:
        """The probability of each option where one is drawn at random."""
        weights = self.weights or (1.0,) * len(self.options)
        return tuple(weight / sum(weights) for weight in weights)

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


def _conditions(label: str, condition: Any) -> tuple[Condition, ...]:
    if condition is None:
        return ()
    pairs = [condition] if len(condition) == 2 and isinstance(condition[0], str) else list(condition)
    found = []
    for pair in pairs:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not isinstance(pair[0], str):
            raise ValueError(f"Condition {pair!r} of choice {label!r} must be (label, option or options).")
        parent, allowed = pair
        # A set has no order of its own, and equal spaces must be written alike in every run.
        several = sorted(allowed, key=repr) if isinstance(allowed, (set, frozenset)) else allowed
        found.append((parent, tuple(several) if isinstance(several, (tuple, list)) else (several,)))
        if not found[-1][1]:
            raise ValueError(f"Condition {pair!r} of choice {label!r} names no option, so it could never hold.")
    return tuple(found)
