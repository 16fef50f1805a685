"""The acquisition of all neighbours of an architecture, which differ from it in one choice."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.strategies.bayesian.acquisition import Acquisition, descending
from autopanoptic.strategies.bayesian.gaussian_process import JITTER, Array

BLOCK = 32  # neighbours whose standard deviation is worked out at a time
SLACK = 1e-3
"""Acquisitions no further apart are as good as equal: expected improvements that differ by a thousandth."""

TINY = 1e-300

CHANGES = 20_000
"""How many choices the neighbours of a place that are made one by one may have together.

All neighbours of 40 choices with 10 options fit; of 500 choices 40 neighbours, since a climb looks around 100 places.
"""


class Neighborhood:
    """The neighbours of one place by their acquisition; they are neither made nor encoded before it is their turn.

    Where option a of choice i becomes b, the correlation with trial j is multiplied by
    ``1 + (exp(-w_i) - 1) [j takes a] + (exp(w_i) - 1) [j takes b]``. So the means of all neighbours follow from one
    product with the trials' encodings. So does a bound on their variances: with the place's correlations ``k``, their
    change ``d`` and the inverse covariance ``A``, the variance ``1 - (k + d) A (k + d)`` is at most
    ``1 - (k A (k + d))**2 / (k A k)``, by Cauchy and Schwarz. The exact values are worked out for those alone whose
    bounds promise most.

    A change of a choice that others depend on, and any change in a space with symmetries, may change more than one
    choice. Such neighbours are made one by one, a random part of them in a wide space.

    Args:
        space: its constraint is not asked.
        acquisition: what ranks the neighbours.
        place: a canonical architecture.
        rng: breaks ties.
    """

    def __init__(
        self, space: SearchSpace, acquisition: Acquisition, place: Architecture, rng: np.random.Generator
    ) -> None:
        self._space, self._acquisition, self._place, self._rng = space, acquisition, place, rng
        self._process = acquisition.process
        columns = space.one_hot.columns
        self._moves = [
            (label, option)
            for label, taken in place.items()
            if space.changes_alone(label)
            for option in columns[label]
            if option != taken
        ]
        self._old = np.array([columns[label][place[label]] for label, _ in self._moves], dtype=np.intp)
        self._new = np.array([columns[label][option] for label, option in self._moves], dtype=np.intp)
        kernel = self._process.hyperparameters.kernel
        self._weights = kernel.relevance[kernel.choice_of[self._old]]

    def __iter__(self) -> Iterator[tuple[Architecture, float]]:
        """Yield the neighbours with their acquisition, largest first but for 0.001; each may be tried or refused."""
        made = self._made()
        own = self._acquisition_of(made)
        bounds = np.concatenate([self._bounds(), own])
        simple = len(self._moves)
        values: dict[int, float] = {}

        def exact(rows: NDArray[np.intp]) -> Array:
            found = np.empty(len(rows))
            moved = rows < simple
            found[moved] = self._exact(rows[moved])
            found[~moved] = own[rows[~moved] - simple]
            values.update(zip(rows.tolist(), found.tolist(), strict=True))
            return found

        shuffled = self._rng.permutation(len(bounds))  # the first of equal bounds are a random part of them
        for place in descending(bounds[shuffled], lambda rows: exact(shuffled[rows]), self._rng, BLOCK, SLACK):
            row = int(shuffled[place])
            yield self._neighbor(row) if row < simple else made[row - simple], values[row]

    def _neighbor(self, row: int) -> Architecture:
        label, option = self._moves[row]
        return self._space.changed(self._place, label, option)

    def _made(self) -> list[Architecture]:
        changes = [
            (label, option)
            for label, taken in self._place.items()
            if not self._space.changes_alone(label)
            for option in self._space.one_hot.columns[label]
            if option != taken
        ]
        most = max(1, CHANGES // len(self._space.choices))
        if len(changes) > most:
            changes = [changes[index] for index in self._rng.choice(len(changes), most, replace=False)]
        made = dict.fromkeys(self._space.changed(self._place, label, option) for label, option in changes)
        made.pop(self._place, None)  # a symmetry may lead back
        return list(made)

    def _acquisition_of(self, architectures: list[Architecture]) -> Array:
        parts = [architectures[start : start + 100] for start in range(0, len(architectures), 100)]
        return np.concatenate([np.zeros(0), *(self._acquisition(self._space.encode(part), part) for part in parts)])

    @cached_property
    def _correlations(self) -> Array:
        kernel = self._process.hyperparameters.kernel
        return kernel(self._process.encoded, self._space.encode([self._place]))[:, 0]

    @cached_property
    def _prior(self) -> Array:
        log_prior = self._acquisition.log_prior
        own = float(self._space.encode([self._place])[0] @ log_prior)
        return np.asarray(own + log_prior[self._new] - log_prior[self._old])

    def _bounds(self) -> Array:
        """Return what the acquisition of each simple move cannot exceed, shape (moves,)."""
        near = self._correlations
        solved = self._process.solve(near)
        gains = np.stack([self._process.coefficients * near, solved * near])
        by_option = gains @ self._process.encoded
        less, more = np.expm1(-self._weights), np.expm1(self._weights)
        changes = less * by_option[:, self._old] + more * by_option[:, self._new]
        mean = gains[0].sum() + changes[0]
        known = gains[1].sum()
        variance = 1 - (known + changes[1]) ** 2 / max(known, TINY)
        sd = np.sqrt(np.clip(variance, JITTER, 1))
        return np.asarray(self._acquisition.improvement.bound(mean, sd) + self._prior)

    def _exact(self, rows: NDArray[np.intp]) -> Array:
        encoded, weights = self._process.encoded, self._weights[rows]
        factor = 1 + np.expm1(-weights) * encoded[:, self._old[rows]] + np.expm1(weights) * encoded[:, self._new[rows]]
        mean, sd = self._process.predict_from(self._correlations[:, None] * factor)
        improvement = self._acquisition.improvement(mean, sd, map(self._neighbor, rows.tolist()))
        return np.asarray(improvement + self._prior[rows])
