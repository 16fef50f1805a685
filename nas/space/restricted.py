"""Parts of a space: the same choices with fewer options."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.constrained import ENUMERABLE
from autopanoptic.nas.space.options import options_of
from autopanoptic.nas.space.size import count_architectures
from autopanoptic.nas.space.walk import combinations


def restricted_choices(choices: Sequence[Choice], options: Mapping[str, Iterable[Option]]) -> list[Choice]:
    """Return choices, parents first, with no other options than those given for them.

    A choice that none of the options left leads to is left out.

    Raises:
        ValueError: for a label that none of the choices has, an option that a choice lacks, or no option at all.
    """
    unknown = [label for label in options if label not in {choice.label for choice in choices}]
    if unknown:
        raise ValueError(f"The space has no choice {unknown[0]!r}; it has {[choice.label for choice in choices]}.")
    left: dict[str, Choice] = {}
    for choice in choices:
        kept = _kept(choice, options_of(choice.label, options[choice.label]) if choice.label in options else None)
        conditions = [
            (parent, tuple(option for option in allowed if option in left[parent].options))
            for parent, allowed in choice.conditions
            if parent in left
        ]
        possible = [condition for condition in conditions if condition[1]]
        if possible or not choice.conditions:
            weights = choice.weights and [choice.weights[choice.options.index(option)] for option in kept]
            left[choice.label] = Choice(choice.label, kept, possible, weights)
    return list(left.values())


def _kept(choice: Choice, wanted: Sequence[Option] | None) -> list[Option]:
    """Return the choice's own options that are wanted, in its own order."""
    if wanted is None:
        return list(choice.options)
    for option in wanted:
        if option not in choice.options:
            raise ValueError(f"Choice {choice.label!r} has no option {option!r}; it has {list(choice.options)}.")
    return [option for option in choice.options if option in wanted]


@dataclass(frozen=True)
class KeptSymmetry:
    """The symmetries of a space within a part of it.

    For a representative that lies outside of the part the first architecture of the part stands that it represents, or
    in a part of more than 100,000 architectures, which is too large to look through, each of these for itself.

    Attributes:
        representative: maps an architecture of the whole space to its representative.
        choices: those of the part.
    """

    representative: Callable[[Architecture], Architecture]
    choices: tuple[Choice, ...]

    def __call__(self, architecture: Architecture) -> Architecture:
        """Return what stands in the part for an architecture of the part and for all that are the same network."""
        found = self.representative(architecture)
        return found if self._has(found) else self._instead.get(found, architecture)

    def _has(self, architecture: Architecture) -> bool:
        options = self._options
        return all(label in options and option in options[label] for label, option in architecture.items())

    @cached_property
    def _options(self) -> dict[str, tuple[Option, ...]]:
        return {choice.label: choice.options for choice in self.choices}

    @cached_property
    def _instead(self) -> dict[Architecture, Architecture]:
        """By each representative outside of the part, the first of the part that it represents."""
        found: dict[Architecture, Architecture] = {}
        size = count_architectures(self.choices)
        if size.exact and size.number <= ENUMERABLE:
            for architecture in map(Architecture, combinations(self.choices)):
                representative = self.representative(architecture)
                if not self._has(representative):
                    found.setdefault(representative, architecture)
        return found
