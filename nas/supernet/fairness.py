"""Fair dealing: sets of architectures in which every option of a choice stands equally often, to within one.

Strict fairness of FairNAS (Chu et al. 2021, section 3), as Auto-Panoptic trains its supernet and scores its options
(Wu et al. 2020, sections 3.3 and 3.4). Members of a cycle are dealt one at a time: each choice takes, at random, one of
the options that stand in the fewest members so far.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.space.space import SearchSpace

Uses: TypeAlias = Mapping[tuple[str, Option], int]
"""How often each (label, option) has been used."""

FAIR_ATTEMPTS = 50
SHORT = 4
"""An exactly fair cycle is short while it has at most so many times the members that the largest choice has options."""


def cycle_length(space: SearchSpace) -> int:
    """Return the least common multiple of the choices' option counts: the shortest exactly fair cycle."""
    return math.lcm(*(len(choice.options) for choice in space.choices))


def short_cycle_length(space: SearchSpace) -> int:
    """Return the length of an exactly fair cycle, or, where that is long, of the shortest that has every option.

    Option counts of 4, 6 and 3 give 12, as in the published network; 4, 7 and 3, whose least common multiple is 84,
    give 7, in which the options of the choice of 4 stand once or twice.
    """
    exact, most = cycle_length(space), max((len(choice.options) for choice in space.choices), default=1)
    return exact if exact <= SHORT * most else most


def uses_of(members: Iterable[Architecture]) -> Counter[tuple[str, Option]]:
    """Return how often each (label, option) stands in the members."""
    return Counter(item for architecture in members for item in architecture.items())


def fair_cycle(
    space: SearchSpace, rng: np.random.Generator, length: int | None = None, before: Uses | None = None
) -> list[Architecture]:
    """Return architectures in which each choice's options are used equally often, to within one.

    A conditional choice is dealt among the members in which it is made. Every member is accepted by the space's
    constraint, under which the uses are as near to equal as :func:`next_member` can bring them; the same holds for the
    symmetries of a space, whose representatives count.

    Args:
        space: where the architectures come from.
        rng: the source of randomness; the choices are dealt independently of each other.
        length: how many; :func:`short_cycle_length` by default.
        before: uses in earlier cycles, which decide between options that are used equally often in this one.

    Raises:
        ValueError: when ``length`` is less than 1.
        InfeasibleError: when the constraint refuses nearly everything.
    """
    members: list[Architecture] = []
    uses: Counter[tuple[str, Option]] = Counter()
    for _ in range(checked_length(space, length)):
        found = next_member(space, uses, rng, lambda: space.sample(rng), before=before)
        assert found is not None  # nothing is known already, so there is always one
        members.append(found)
        uses.update(found.items())
    return members


def checked_length(space: SearchSpace, length: int | None) -> int:
    """Return the length of a cycle, :func:`short_cycle_length` for None.

    Raises:
        ValueError: when it is not a whole number of at least 1.
    """
    if length is None:
        return short_cycle_length(space)
    if not isinstance(length, int) or isinstance(length, bool) or length < 1:
        raise ValueError(f"The length of a fair cycle must be a whole number of at least 1, not {length!r}.")
    return length


def next_member(
    space: SearchSpace,
    uses: Uses,
    rng: np.random.Generator,
    draw: Callable[[], Architecture | None],
    *,
    known: Container[object] = (),
    before: Uses | None = None,
) -> Architecture | None:
    """Return what joins the members of a cycle.

    Where 50 deals are all known or break the constraint, which is usual for a cycle's last member under a constraint
    (it has to take what is left), a random architecture joins that has been moved as near to the fair deal as the
    constraint lets it, choice by choice.

    Args:
        space: where the architectures come from.
        uses: by the members of the cycle so far.
        rng: the source of randomness.
        draw: returns an accepted architecture that is not known, None where there is none.
        known: what must not be dealt again.
        before: uses in earlier cycles, which decide between options that are used equally often in this one.

    Returns:
        None when ``draw`` finds nothing.
    """
    refused: set[Architecture] = set()
    for _ in range(FAIR_ATTEMPTS):
        architecture = deal(space, uses, rng, before)
        if architecture not in known and architecture not in refused:
            if space.accepts(architecture):
                return architecture
            refused.add(architecture)
    return _towards(space, known, deal(space, uses, rng, before), draw(), rng)


def deal(space: SearchSpace, uses: Uses, rng: np.random.Generator, before: Uses | None = None) -> Architecture:
    """Return an architecture in which each choice takes one of its options that are used least so far."""
    options: dict[str, Option] = {}
    for choice in space.choices:
        if choice.active(options):
            fair = _least(choice.label, choice.options, uses)
            if before is not None:
                fair = _least(choice.label, fair, before)
            options[choice.label] = fair[rng.integers(len(fair))]
    return space.canonical(options)


def _least(label: str, options: Sequence[Option], uses: Uses) -> list[Option]:
    counts = [uses.get((label, option), 0) for option in options]
    least = min(counts)
    return [option for option, count in zip(options, counts, strict=True) if count == least]


def _towards(
    space: SearchSpace,
    known: Container[object],
    fair: Architecture,
    found: Architecture | None,
    rng: np.random.Generator,
) -> Architecture | None:
    """Move an architecture towards a fair deal, choice by choice, while it is accepted and not known."""
    if found is None:
        return None
    options = {**fair, **found}
    for label in rng.permutation(list(fair)):
        moved = space.canonical({**options, label: fair[label]})
        if moved == found or (moved not in known and space.accepts(moved)):
            options[label], found = fair[label], moved
    return found
