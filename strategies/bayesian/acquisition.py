"""Expected improvement and where in a search space it is largest."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.constrained import InfeasibleError
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.trials.history import History
from autopanoptic.strategies.bayesian.gaussian_process import Array, GaussianProcess

WHOLE = 50_000
"""A space of at most this many architectures is looked through as a whole."""

BLOCK = 1024  # candidates whose standard deviation is worked out at a time
TIE = 1e-8  # acquisitions no further apart are equal: rounding must not decide between them
PARENTS = 10  # the best trials, from which the search of a large space begins
CLIMBS = 5  # of all these, those from which it climbs
STEPS = 20


def log_expected_improvement(mean: Array, sd: Array, best: float) -> Array:
    """Return the logarithm of the expected improvement of normal distributions over a value.

    The expected improvement is ``E max(f - best, 0)`` (Jones et al. 1998, "Efficient global optimization of expensive
    black-box functions", equation 15). Its logarithm ranks candidates also where it underflows, by the formulas of
    Ament et al. 2023, "Unexpected improvements to expected improvement for Bayesian optimization", appendix A.

    Args:
        mean: shape (n,).
        sd: positive, shape (n,).
        best: what is to be improved upon.
    """
    z = (mean - best) / sd
    found = np.empty_like(z)
    near = z > -1
    found[near] = np.log(np.exp(-(z[near] ** 2) / 2) / np.sqrt(2 * np.pi) + z[near] * special.ndtr(z[near]))
    tail = z[~near]
    # 1 - |z| Phi(z) / phi(z) loses all digits far out, where it tends to z**-2.
    ratio = 1 - np.sqrt(np.pi / 2) * special.erfcx(-tail / np.sqrt(2)) * -tail
    ratio = np.where(tail > -1e4, ratio, 1 / tail**2)
    found[~near] = -(tail**2) / 2 - np.log(2 * np.pi) / 2 + np.log(ratio)
    return np.asarray(found + np.log(sd))


@dataclass(frozen=True)
class Acquisition:
    """The logarithm of expected improvement times a prior.

    Args:
        process: what is known; its variance is at most 1.
        best: what is to be improved upon.
        log_prior: what each option adds, shape (columns,); see :meth:`SearchSpace.encode`.
    """

    process: GaussianProcess
    best: float
    log_prior: Array

    def __call__(self, encoded: Array) -> Array:
        """Return the acquisition at n encodings, shape (n,)."""
        mean, sd = self.process.predict(encoded)
        return log_expected_improvement(mean, sd, self.best) + encoded @ self.log_prior

    def bound(self, encoded: Array) -> Array:
        """Return what the acquisition at n encodings cannot exceed, shape (n,); costs much less.

        Expected improvement grows with the standard deviation, which is never above the process's own.
        """
        mean = self.process.mean(encoded)
        return log_expected_improvement(mean, np.ones(len(mean)), self.best) + encoded @ self.log_prior


def descending(acquisition: Acquisition, encoded: Array, rng: np.random.Generator) -> Iterator[int]:
    """Yield the rows by their acquisition, exactly, the largest first; of equal ones a random one.

    Rows are looked at by their bounds, largest first, and no further than needed: the first of 15,625 costs a few
    hundred of them.

    Args:
        acquisition: what is to be maximised.
        encoded: encodings, shape (n, columns).
        rng: breaks ties.
    """
    bounds = acquisition.bound(encoded)
    order = np.argsort(-bounds, kind="stable")
    values = np.full(len(encoded), -np.inf)
    start = 0
    for _ in range(len(encoded)):
        while start < len(order) and bounds[order[start]] >= values.max() - TIE:
            block = order[start : start + BLOCK]
            values[block] = acquisition(encoded[block])
            start += BLOCK
        row = first_of_equals(values, rng)
        yield row
        values[row] = -np.inf


def first_of_equals(values: Array, rng: np.random.Generator) -> int:
    """Return the index of the largest value, a random one of those that tie with it."""
    equal = np.flatnonzero(values >= values.max() - TIE)
    return int(equal[rng.integers(len(equal))])


class WholeSpace:
    """All architectures of a small space, encoded once; its constraint is asked about those alone that come to be best.

    Args:
        space: of at most 50,000 architectures.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self.architectures = list(space.unconstrained)
        self.encoded = space.encode(self.architectures)
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
        for index in descending(acquisition, self.encoded[rows], rng):
            row = int(rows[index])
            if row not in self._accepted:
                self._accepted[row] = self._space.accepts(self.architectures[row])
            if self._accepted[row]:
                return self.architectures[row]
        return None


def climb(
    space: SearchSpace,
    history: History,
    acquisition: Acquisition,
    parents: list[Architecture],
    rng: np.random.Generator,
    candidates: int,
) -> Architecture | None:
    """Return an untried architecture of a large acquisition, by local search.

    Half of the candidates are mutations of the parents, half are random; the parents' neighbours are looked at, too.
    From the best five of all these it climbs: each moves to its best untried neighbour that the constraint accepts, for
    at most 20 steps, as long as that is an improvement (similar to Hutter et al. 2011, "Sequential model-based
    optimization for general algorithm configuration", section 4.3).

    Args:
        space: where to look.
        history: what has been tried.
        acquisition: what is to be large.
        parents: tried architectures, the best first.
        rng: the source of randomness.
        candidates: mutations and random architectures together.

    Returns:
        None where nothing untried was found.
    """
    seen = _Seen(space, history, acquisition)
    seen.look(_mutations(space, parents, rng, candidates // 2))
    seen.look(_random(space, rng, candidates - candidates // 2))
    seen.look(neighbor for parent in parents for neighbor in space.unconstrained.neighbors(parent))
    places = list(itertools.islice(seen.ranked(), CLIMBS))
    for _ in range(STEPS):
        around = [list(space.unconstrained.neighbors(place)) for place in places]
        seen.look(architecture for group in around for architecture in group)
        moves = [seen.better(group, place) for group, place in zip(around, places, strict=True)]
        places = list(dict.fromkeys(move for move in moves if move is not None))
    return seen.best(rng)


class _Seen:
    """The untried architectures that a climb has looked at, with their acquisition; some may break the constraint."""

    def __init__(self, space: SearchSpace, history: History, acquisition: Acquisition) -> None:
        self._space, self._history, self._acquisition = space, history, acquisition
        self.values: dict[Architecture, float] = {}

    def look(self, found: Iterable[Architecture]) -> None:
        new = [one for one in dict.fromkeys(found) if one not in self.values and one not in self._history]
        if new:
            self.values.update(zip(new, self._acquisition(self._space.encode(new)).tolist(), strict=True))

    def ranked(self) -> Iterator[Architecture]:
        """Yield those that are accepted, the best first; each is only asked about when it is its turn."""
        order = sorted(self.values, key=lambda architecture: -self.values[architecture])
        return (architecture for architecture in order if self._space.accepts(architecture))

    def better(self, group: Iterable[Architecture], place: Architecture) -> Architecture | None:
        """Return the best of a group that is accepted and better than a place, if there is one."""
        low = self.values.get(place, -np.inf)
        found = [one for one in group if self.values.get(one, -np.inf) > low]
        found.sort(key=lambda one: -self.values[one])
        return next((one for one in found if self._space.accepts(one)), None)

    def best(self, rng: np.random.Generator) -> Architecture | None:
        """Return the best that is accepted, of equal ones a random one."""
        architectures, values = list(self.values), np.array(list(self.values.values()))
        for _ in architectures:
            index = first_of_equals(values, rng)
            if self._space.accepts(architectures[index]):
                return architectures[index]
            values[index] = -np.inf
        return None


def _mutations(
    space: SearchSpace, parents: list[Architecture], rng: np.random.Generator, count: int
) -> Iterator[Architecture]:
    """Yield mutations of the parents in turn, of two choices on average."""
    for index in range(count if parents else 0):
        parent = parents[index % len(parents)]
        with suppress(InfeasibleError):
            yield space.mutate(parent, rng, min(1.0, 2 / len(parent)))


def _random(space: SearchSpace, rng: np.random.Generator, count: int) -> Iterator[Architecture]:
    with suppress(InfeasibleError):
        for _ in range(count):
            yield space.sample(rng)
