"""Expected improvement and where in a search space it is largest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from autopanoptic.nas.architecture import Architecture
from autopanoptic.nas.constrained import InfeasibleError
from autopanoptic.nas.history import History
from autopanoptic.nas.space import SearchSpace
from autopanoptic.strategies.gaussian_process import Array, GaussianProcess

WHOLE = 50_000
"""A space of at most this many architectures is looked through as a whole."""

BLOCK = 1024  # candidates whose standard deviation is worked out at a time
TIE = 1e-8  # acquisitions no further apart are equal: rounding must not decide between them
PARENTS = 10  # the best trials, from which the search of a large space begins
CLIMBS = 5  # of the other candidates, those from which it climbs too
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


def arg_max(acquisition: Acquisition, encoded: Array, rng: np.random.Generator) -> int:
    """Return the row of the largest acquisition, exactly; of equal ones a random one.

    Rows are looked at by their bounds, largest first, until no bound is left that reaches the largest value found.

    Args:
        acquisition: what is to be maximised.
        encoded: one or more encodings, shape (n, columns).
        rng: breaks ties.
    """
    bounds = acquisition.bound(encoded)
    order = np.argsort(-bounds, kind="stable")
    values = np.full(len(encoded), -np.inf)
    for start in range(0, len(order), BLOCK):
        block = order[start : start + BLOCK]
        if bounds[block[0]] < values.max() - TIE:
            break
        values[block] = acquisition(encoded[block])
    return first_of_equals(values, rng)


def first_of_equals(values: Array, rng: np.random.Generator) -> int:
    """Return the index of the largest value, a random one of those that tie with it."""
    equal = np.flatnonzero(values >= values.max() - TIE)
    return int(equal[rng.integers(len(equal))])


class WholeSpace:
    """All architectures of a small space, encoded once.

    Args:
        space: of at most 50,000 architectures.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.architectures = list(space)
        self.encoded = space.encode(self.architectures)
        self._row = {architecture: row for row, architecture in enumerate(self.architectures)}

    def untried(self, history: History) -> NDArray[np.intp]:
        """Return the rows of the architectures that have no trial."""
        left = np.ones(len(self.architectures), dtype=np.bool_)
        left[[self._row[trial.architecture] for trial in history if trial.architecture in self._row]] = False
        return np.flatnonzero(left)

    def best(self, history: History, acquisition: Acquisition, rng: np.random.Generator) -> Architecture | None:
        """Return the untried architecture of the largest acquisition; None where all have been tried."""
        rows = self.untried(history)
        return self.architectures[rows[arg_max(acquisition, self.encoded[rows], rng)]] if len(rows) else None


def climb(
    space: SearchSpace,
    history: History,
    acquisition: Acquisition,
    parents: list[Architecture],
    rng: np.random.Generator,
    candidates: int,
) -> Architecture | None:
    """Return an untried architecture of a large acquisition, by local search.

    Half of the candidates are mutations of the parents, half are random. From the best five of them and from the
    parents it climbs: each moves to its best untried neighbour, for at most 20 steps, as long as that is an
    improvement (as in Hutter et al. 2011, "Sequential model-based optimization for general algorithm configuration",
    section 4.3).

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
    seen: dict[Architecture, float] = {}

    def look(found: Iterable[Architecture]) -> None:
        new = [architecture for architecture in dict.fromkeys(found) if architecture not in history]
        new = [architecture for architecture in new if architecture not in seen]
        if new:
            seen.update(zip(new, acquisition(space.encode(new)).tolist(), strict=True))

    look(_mutations(space, parents, rng, candidates // 2))
    look(_random(space, rng, candidates - candidates // 2))
    places = parents + sorted(seen, key=lambda architecture: -seen[architecture])[:CLIMBS]
    for _ in range(STEPS):
        around = [list(space.neighbors(place)) for place in places]
        look(architecture for group in around for architecture in group)
        moves = [max(group, key=lambda found: seen.get(found, -np.inf), default=None) for group in around]
        pairs = zip(places, moves, strict=True)
        better = [move for place, move in pairs if move in seen and seen[move] > seen.get(place, -np.inf)]
        places = list(dict.fromkeys(better))
        if not places:
            break
    return list(seen)[first_of_equals(np.array(list(seen.values())), rng)] if seen else None


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
