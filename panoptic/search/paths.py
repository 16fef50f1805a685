"""The paths by which a panoptic supernet with widths and depths is trained."""

from __future__ import annotations

import numpy as np

from autopanoptic.nas import Architecture, Option, SandwichPaths, SearchSpace
from autopanoptic.panoptic.model.designs.names import is_component
from autopanoptic.panoptic.search.scaling import is_size, plain


class SizeSandwich(SandwichPaths):
    """The sandwich rule over widths and depths: a cycle is the largest network, the smallest, and random ones.

    Yu and Huang 2019, "Universally slimmable networks and improved training techniques"; BigNAS, Yu et al. 2020. There
    all choices are sizes. Here there are operators too, and both ends draw theirs at random for each cycle: those of
    fixed ends would be trained several times as often as the others, which the search would mistake for quality. Where
    the space has a constraint, operators of an end that breaks it give way to the plain ones until it does not, in
    random order, those of the heads first, whose costs differ.

    Args:
        space: Of the supernet; every path keeps its constraint.
        random: How many random paths follow the two ends.
        seed: Of the random paths and operators.
    """

    def __init__(self, space: SearchSpace, random: int = 2, seed: int = 0) -> None:
        self._sizes: dict[str, tuple[Option, ...]] = {
            choice.label: tuple(sorted(choice.options)) for choice in space.choices if is_size(choice.label)
        }
        self._operators = {choice.label: choice.options for choice in space.choices if not is_size(choice.label)}
        ends = [self._end(space, place, np.random.default_rng([seed, -place, 0])) for place in (-1, 0)]
        super().__init__(space, ends[0], ends[1], random, seed)

    def path(self, step: int) -> Architecture:
        """Return the architecture of forward pass ``step``, from 0."""
        place = step % self.cycle
        if place > 1:
            return super().path(step)
        return self._end(self.space, (-1, 0)[place], np.random.default_rng([self.seed, step, 0]))

    def _end(self, space: SearchSpace, place: int, rng: np.random.Generator) -> Architecture:
        sizes = {label: options[place] for label, options in self._sizes.items()}
        drawn = {label: options[int(rng.integers(len(options)))] for label, options in self._operators.items()}
        found = space.canonical({**drawn, **sizes})
        for label in sorted(rng.permutation(list(drawn)).tolist(), key=_costs_little):
            if space.accepts(found):
                break
            drawn[label] = plain(space[label])
            found = space.canonical({**drawn, **sizes})
        return found


def _costs_little(label: str) -> bool:
    """Whether all of a choice's operators cost about the same, as in the backbone and the fusion."""
    return not label.startswith(("mask.", "segmentation."))


def largest_plain(space: SearchSpace) -> SearchSpace:
    """Return the part of a space in which all is as large as can be, with plain operators: only components differ."""
    fixed = {
        choice.label: [choice.options[-1] if is_size(choice.label) else plain(choice)]
        for choice in space.choices
        if not is_component(choice.label)
    }
    return space.restricted(fixed)
