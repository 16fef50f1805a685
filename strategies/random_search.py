"""Random search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.strategy import Strategy, unseen
from autopanoptic.nas.trials.history import History


@dataclass(frozen=True)
class RandomSearch(Strategy):
    """Draws architectures without repetition, each choice uniform over its options.

    The baseline that any strategy has to beat (Li & Talwalkar 2019, "Random search and reproducibility for neural
    architecture search"). Ends when the space is exhausted.
    """

    def proposes_ahead(self) -> bool:
        """Return True: it regards no results."""
        return True

    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture | None:
        """Return an architecture that has not been tried; None when all have been."""
        return unseen(space, history, rng)
