"""Expected improvement, and its largest values among many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.strategies.bayesian.gaussian_process import Array, GaussianProcess

BLOCK = 1024  # candidates whose standard deviation is worked out at a time
NOTHING = -1e300  # of what promises nothing at all; -inf stands for rows that are gone
TIE = 1e-8  # acquisitions no further apart are equal: rounding must not decide between them


def log_expected_improvement(mean: Array, sd: Array, best: float | Array) -> Array:
    """Return the logarithm of the expected improvement of normal distributions over a value.

    The expected improvement is ``E max(f - best, 0)`` (Jones et al. 1998, "Efficient global optimization of expensive
    black-box functions", equation 15). Its logarithm ranks candidates also where it underflows, by the formulas of
    Ament et al. 2023, "Unexpected improvements to expected improvement for Bayesian optimization", appendix A.

    Args:
        mean: shape (n,), or any that fits the others.
        sd: positive, of the same shape.
        best: what is to be improved upon, one value or several.
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


class Improvement(Protocol):
    """The logarithm of what is expected to be won where a value is known as a normal distribution."""

    def __call__(self, mean: Array, sd: Array, architectures: Iterable[Architecture]) -> Array:
        """Return it for n architectures, shape (n,).

        Args:
            mean: of their values, shape (n,).
            sd: positive, shape (n,).
            architectures: n of them, looked at only where they matter.
        """

    def bound(self, mean: Array, sd: Array) -> Array:
        """Return what it cannot exceed, whatever the architectures are, shape (n,)."""


@dataclass(frozen=True)
class OverBest:
    """The expected improvement over one value.

    Args:
        best: the value.
    """

    best: float

    def __call__(self, mean: Array, sd: Array, architectures: Iterable[Architecture]) -> Array:
        """Return the improvement; which architectures these are does not matter."""
        return self.bound(mean, sd)

    def bound(self, mean: Array, sd: Array) -> Array:
        """Return the improvement."""
        return log_expected_improvement(mean, sd, self.best)


@dataclass(frozen=True)
class Acquisition:
    """The logarithm of an expected improvement times a prior.

    Args:
        process: what is known; its variance is at most 1.
        improvement: what is expected of a normal distribution.
        log_prior: what each option adds, shape (columns,); see :meth:`SearchSpace.encode`.
    """

    process: GaussianProcess
    improvement: Improvement
    log_prior: Array

    def __call__(self, encoded: Array, architectures: Iterable[Architecture]) -> Array:
        """Return the acquisition at n architectures, given with their encodings, shape (n,)."""
        mean, sd = self.process.predict(encoded)
        return self.improvement(mean, sd, architectures) + encoded @ self.log_prior

    def believing(self, encoded: Array) -> Acquisition:
        """Return the acquisition when n encodings are pending, which is nowhere larger than this one."""
        return replace(self, process=self.process.joined_by(encoded))

    def bound(self, encoded: Array) -> Array:
        """Return what the acquisition at n encodings cannot exceed, shape (n,); costs much less.

        An expected improvement grows with the standard deviation, which is never above the process's own.
        """
        mean = self.process.mean(encoded)
        return self.improvement.bound(mean, np.ones(len(mean))) + encoded @ self.log_prior


def descending(
    bounds: Array,
    exact: Callable[[NDArray[np.intp]], Array],
    rng: np.random.Generator,
    block: int = BLOCK,
    slack: float = -TIE,
) -> Iterator[int]:
    """Yield rows by their values, exactly, the largest first; of equal ones a random one.

    Rows are looked at by their bounds, largest first, and no further than needed: the first of 15,625 costs a few
    hundred of them.

    Args:
        bounds: what the rows' values cannot exceed, shape (n,).
        exact: returns the values of the rows of an index array.
        rng: breaks ties.
        block: how many values are worked out at a time.
        slack: by how much a value that comes later may be larger; where all are nearly equal, none of the bounds would
            rule out any of them. The default rules out all but ties.
    """
    order = np.argsort(-bounds, kind="stable")
    values = np.full(len(bounds), -np.inf)
    start = 0
    for _ in range(len(bounds)):
        while start < len(order) and bounds[order[start]] >= values.max() + slack:
            rows = order[start : start + block]
            values[rows] = np.maximum(exact(rows), NOTHING)
            start += block
        row = first_of_equals(values, rng)
        yield row
        values[row] = -np.inf


def first_of_equals(values: Array, rng: np.random.Generator) -> int:
    """Return the index of the largest value, a random one of those that tie with it."""
    equal = np.flatnonzero(values >= values.max() - TIE)
    return int(equal[rng.integers(len(equal))])
