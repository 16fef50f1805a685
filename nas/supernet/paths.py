"""Path samplers: which architecture a supernet trains at each pass.

A path depends on (seed, pass) alone, so every rank of a distributed run, and every resumed run, agrees on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.supernet.fairness import checked_length, fair_cycle, uses_of

ERA = 16
"""Cycles over which FairPaths evens out the uses; a path is found again after dealing at most as many."""


class PathSampler(Protocol):
    """Names the path of each pass.

    Attributes:
        cycle: how many consecutive passes belong together, over which gradients may be accumulated.
    """

    cycle: int

    def path(self, step: int) -> Architecture:
        """Return the architecture of forward pass ``step``, from 0."""


class UniformPaths:
    """Every path drawn on its own, each choice uniform or by its weights (Guo et al. 2020, one-shot).

    Attributes:
        roles: ``"random"`` for each path of a cycle of several, by which their losses are logged; empty where a cycle
            is one path.

    Args:
        space: where the paths come from.
        seed: non-negative.
        cycle: how many paths belong together: with ``SupernetModule(same_batch=True)`` those that run on one batch for
            one update.

    Raises:
        ValueError: when ``cycle`` is less than 1.
    """

    def __init__(self, space: SearchSpace, seed: int = 0, cycle: int = 1) -> None:
        if cycle < 1:
            raise ValueError(f"A cycle needs at least 1 path, not {cycle}.")
        self.space = space
        self.seed = seed
        self.cycle = cycle
        self.roles = ("random",) * cycle if cycle > 1 else ()

    def path(self, step: int) -> Architecture:
        """Return the architecture of forward pass ``step``, from 0."""
        return self.space.sample(np.random.default_rng([self.seed, step]))


class FairPaths:
    """Cycles of paths that use every option of a choice equally often, to within one.

    Strict fairness of FairNAS (Chu et al. 2021), as Auto-Panoptic trains its supernet. A conditional choice is dealt
    among the paths in which it is made; where a cycle cannot be exactly fair, options that had the worst of it so far
    go first in the next ones, over 16 cycles. Every path is accepted by the space's constraint, which may make equal
    uses impossible; then they are as near to equal as it allows.

    Args:
        space: where the paths come from.
        seed: non-negative.
        length: paths in a cycle. By default the least common multiple of the option counts, with which the options of
            unconditional choices stand exactly equally often; where that is more than four times the largest count,
            the largest count.

    Raises:
        ValueError: when ``length`` is less than 1.
    """

    def __init__(self, space: SearchSpace, seed: int = 0, length: int | None = None) -> None:
        self.space = space
        self.seed = seed
        self.cycle = checked_length(space, length)
        self._start_era(-1)

    def path(self, step: int) -> Architecture:
        """Return the architecture of forward pass ``step``, from 0.

        Raises:
            InfeasibleError: when the space's constraint refuses nearly everything.
        """
        number, place = divmod(step, self.cycle)
        era, index = divmod(number, ERA)
        if era != self._era:
            self._start_era(era)
        while index >= len(self._dealt):
            rng = np.random.default_rng([self.seed, era * ERA + len(self._dealt)])
            cycle = fair_cycle(self.space, rng, self.cycle, before=self._uses)
            self._uses.update(uses_of(cycle))
            self._dealt.append(cycle)
        return self._dealt[index][place]

    def _start_era(self, era: int) -> None:
        self._era = era
        self._dealt: list[list[Architecture]] = []
        self._uses: Counter[tuple[str, Option]] = Counter()


class SandwichPaths:
    """Cycles of the largest path, the smallest, and random ones.

    The sandwich rule (Yu and Huang 2019, "Universally slimmable networks and improved training techniques"; BigNAS, Yu
    et al. 2020) trains all paths of a cycle on the same batch, for one update: give
    ``SupernetModule(same_batch=True)``. :func:`extremes` finds the two ends of a space.

    Attributes:
        roles: what the paths of a cycle are, in their order, by which their losses are logged: ``"largest"``,
            ``"smallest"``, then ``"random"``.

    Args:
        space: where the random paths are drawn.
        largest: the first path of each cycle.
        smallest: the second path of each cycle.
        random: how many random paths follow.
        seed: the seed of the random paths.

    Raises:
        ValueError: when an architecture is not in the space or breaks its constraint, or ``random`` is negative.
    """

    def __init__(
        self,
        space: SearchSpace,
        largest: Mapping[str, Option],
        smallest: Mapping[str, Option],
        random: int = 2,
        seed: int = 0,
    ) -> None:
        if random < 0:
            raise ValueError(f"The number of random paths must not be negative, it is {random}.")
        self.space = space
        self.ends = (_accepted(space, "largest", largest), _accepted(space, "smallest", smallest))
        self.seed = seed
        self.cycle = 2 + random
        self.roles = ("largest", "smallest", *["random"] * random)

    def path(self, step: int) -> Architecture:
        """Return the architecture of forward pass ``step``, from 0."""
        place = step % self.cycle
        return self.ends[place] if place < 2 else self.space.sample(np.random.default_rng([self.seed, step]))


class DrawnPaths:
    """The first paths of a sampler, drawn beforehand.

    They need no space, whose constraint may hold what cannot be sent to other processes.

    Attributes:
        cycle: that of the sampler.
        roles: those of the sampler; empty where it has none.

    Args:
        sampler: draws the paths.
        steps: how many of them.
    """

    def __init__(self, sampler: PathSampler, steps: int) -> None:
        self.cycle = sampler.cycle
        self.roles: tuple[str, ...] = getattr(sampler, "roles", None) or ()
        self._paths = tuple(sampler.path(step) for step in range(steps))

    def path(self, step: int) -> Architecture:
        """Return the architecture of forward pass ``step``, from 0.

        Raises:
            IndexError: when it was not drawn.
        """
        if not 0 <= step < len(self._paths):
            raise IndexError(f"Path {step} was not drawn, only the first {len(self._paths)} were.")
        return self._paths[step]


def _accepted(space: SearchSpace, end: str, architecture: Mapping[str, Option]) -> Architecture:
    canonical = space.canonical(architecture)
    if not space.accepts(canonical):
        assert space.constraint is not None
        raise ValueError(
            f"The {end} path {dict(canonical)} breaks the constraint {space.constraint.description}. Give the {end} "
            "architecture that keeps it, or the space without it (space.unconstrained)."
        )
    return canonical
