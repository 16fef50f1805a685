"""A small space in which the acquisition of every architecture is looked at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.trials.history import History
from autopanoptic.strategies.bayesian.acquisition import BLOCK, Acquisition, descending
from autopanoptic.strategies.bayesian.gaussian_process import Array

WHOLE = 50_000
"""A space of at most this many architectures is looked through as a whole."""

CELLS = 4_000_000
"""How many numbers the one-hot rows that exist at a time may have: 32 MB."""


class WholeSpace:
    """All architectures of a small space, encoded once; its constraint is asked about those alone that come to be best.

    Args:
        space: of at most 50,000 architectures.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self.architectures = list(space.unconstrained)
        self._places = space.one_hot.places(self.architectures)
        self._row = {architecture: row for row, architecture in enumerate(self.architectures)}
        self._accepted: dict[int, bool] = {}

    def untried(self, history: History) -> NDArray[np.intp]:
        """Return the rows of the architectures that have no trial, those that break the constraint included.

        To leave out the ones that are known to break it would change how ties are drawn, and a resumed search, which
        does not know them yet, would go on differently.
        """
        left = np.ones(len(self.architectures), dtype=np.bool_)
        left[[self._row[trial.architecture] for trial in history if trial.architecture in self._row]] = False
        return np.flatnonzero(left)

    def best(self, history: History, acquisition: Acquisition, rng: np.random.Generator) -> Architecture | None:
        """Return the untried architecture of the largest acquisition; None where all have been tried."""
        rows = self.untried(history)
        bounds = self._bounds(acquisition, rows)
        block = max(1, min(BLOCK, CELLS // self._space.one_hot.width))
        for index in descending(bounds, lambda some: acquisition(self._encoded(rows[some])), rng, block):
            row = int(rows[index])
            if row not in self._accepted:
                self._accepted[row] = self._space.accepts(self.architectures[row])
            if self._accepted[row]:
                return self.architectures[row]
        return None

    def _encoded(self, rows: NDArray[np.intp]) -> Array:
        return self._space.one_hot.rows(self._places[rows])

    def _bounds(self, acquisition: Acquisition, rows: NDArray[np.intp]) -> Array:
        if not len(rows):
            return np.zeros(0)
        parts = -(-len(rows) * self._space.one_hot.width // CELLS)
        return np.concatenate([acquisition.bound(self._encoded(part)) for part in np.array_split(rows, parts)])
