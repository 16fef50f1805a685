"""Path samplers: which architecture a supernet trains at each pass.

A path depends on (seed, pass) alone, so every rank of a distributed run, and every resumed run, agrees on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.supernet.fairness import cycle_length, fair_cycle


class PathSampler(Protocol):
    """Names the path of each pass.

    Attributes:
        cycle: how many consecutive passes belong together, over which gradients may be accumulated.
    """

    cycle: int

    def path(self, step: int) -> Architecture:
        """Return the architecture of forward pass ``step``, from 0."""


class UniformPaths:
    """Every path drawn on its own, each choice uniform or by its weights (Guo et al. 2020, one-shot)."""

    def __init__(self, space: SearchSpace, seed: int = 0) -> None:
        self.space = space
        self.seed = seed
        self.cycle = 1

    def path(self, step: int) -> Architecture:
        """Return the architecture of forward pass ``step``, from 0."""
        return self.space.sample(np.random.default_rng([self.seed, step]))


class FairPaths:
    """Cycles of lcm(option counts) paths that use every option of a choice equally often.

    Strict fairness of FairNAS (Chu et al. 2021), as Auto-Panoptic trains its supernet.
    """

    def __init__(self, space: SearchSpace, seed: int = 0) -> None:
        self.space = space
        self.seed = seed
        self.cycle = cycle_length(space)
        self._known: tuple[int, list[Architecture]] = (-1, [])

    def path(self, step: int) -> Architecture:
        """Return the architecture of forward pass ``step``, from 0."""
        number, place = divmod(step, self.cycle)
        if self._known[0] != number:
            self._known = (number, fair_cycle(self.space, np.random.default_rng([self.seed, number])))
        return self._known[1][place]


class SandwichPaths:
    """Cycles of the largest path, the smallest, and random ones (Yu and Huang 2019, the sandwich rule).

    Args:
        space: where the random paths are drawn.
        largest: the first path of each cycle.
        smallest: the second path of each cycle.
        random: how many random paths follow.
        seed: the seed of the random paths.

    Raises:
        ValueError: when an architecture is not in the space, or ``random`` is negative.
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
        self.ends = (space.canonical(largest), space.canonical(smallest))
        self.seed = seed
        self.cycle = 2 + random

    def path(self, step: int) -> Architecture:
        """Return the architecture of forward pass ``step``, from 0."""
        place = step % self.cycle
        return self.ends[place] if place < 2 else self.space.sample(np.random.default_rng([self.seed, step]))
