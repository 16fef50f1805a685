"""A small space in which the acquisition of every architecture is looked at."""

from __future__ import annotations

from collections.abc import Sequence

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
        return next(iter(self.batch(history, acquisition, [rng])), None)

    def batch(
        self,
        history: History,
        acquisition: Acquisition,
        rngs: Sequence[np.random.Generator],
        pending: Sequence[Architecture] = (),
    ) -> list[Architecture]:
        """Return an untried architecture for each generator, each the best where those before it are pending.

        What is pending makes no acquisition larger. So a value that was worked out for one bounds it for those that
        follow, and they cost little more.

        Args:
            history: what has been tried.
            acquisition: what is to be large.
            rngs: break ties.
            pending: untried architectures that are not to be proposed again.
        """
        rows = np.setdiff1d(self.untried(history), [self._row[architecture] for architecture in pending])
        bounds = self._bounds(acquisition, rows)
        found: list[Architecture] = []
        for rng in rngs:
            index = self._first_accepted(rows, bounds, acquisition, rng)
            if index is None:
                break
            found.append(self.architectures[rows[index]])
            if len(found) < len(rngs):
                acquisition = acquisition.believing(self._encoded(rows[[index]]))
                rows, bounds = np.delete(rows, index), np.delete(bounds, index)
        return found

    def _first_accepted(
        self, rows: NDArray[np.intp], bounds: Array, acquisition: Acquisition, rng: np.random.Generator
    ) -> int | None:
        """Return the place among the rows of the best that is accepted, and tighten the bounds of those looked at."""

        def exact(some: NDArray[np.intp]) -> Array:
            values = acquisition(self._encoded(rows[some]), map(self.architectures.__getitem__, rows[some].tolist()))
            tightened[some] = values
            return values

        tightened = bounds.copy()
        block = max(1, min(BLOCK, CELLS // self._space.one_hot.width))
        order = descending(bounds, exact, rng, block)
        found = next((index for index in order if self._accepts(int(rows[index]))), None)
        bounds[:] = tightened
        return found

    def _accepts(self, row: int) -> bool:
        if row not in self._accepted:
            self._accepted[row] = self._space.accepts(self.architectures[row])
        return self._accepted[row]

    def _encoded(self, rows: NDArray[np.intp]) -> Array:
        return self._space.one_hot.rows(self._places[rows])

    def _bounds(self, acquisition: Acquisition, rows: NDArray[np.intp]) -> Array:
        if not len(rows):
            return np.zeros(0)
        parts = -(-len(rows) * self._space.one_hot.width // CELLS)
        return np.concatenate([acquisition.bound(self._encoded(part)) for part in np.array_split(rows, parts)])
