"""A Gaussian process over architectures, with a categorical overlap kernel."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize

from autopanoptic.nas.space.encoding import INACTIVE
from autopanoptic.nas.space.space import SearchSpace

Array: TypeAlias = NDArray[np.float64]

TOTAL_RELEVANCE = 1.0  # the prior's median of the sum of all relevances
SHARED_SD = 0.5  # of what all log relevances have in common
OWN_SD = 1.0  # of what each log relevance has on its own
LOG_NOISE, LOG_NOISE_SD = -4.0, 1.5
JITTER = 1e-8
BOUND = 7.0  # how far a log hyperparameter may lie from its prior mean, so that nothing overflows
ITERATIONS = 50


@dataclass(frozen=True)
class OverlapKernel:
    """The correlation of two architectures, ``exp(-sum_i w_i d_i)``, with a relevance ``w_i`` for each choice.

    ``d_i`` is 0 where both make the same of choice i, or neither makes it, 1 where they take different options, and 1/2
    where only one of them makes it. In a space without conditional choices it is the exponential of a weighted Hamming
    distance (Hutter et al. 2011, "Sequential model-based optimization for general algorithm configuration", section
    4.1).

    The 1/2 is what keeps it positive semi-definite. With a row per architecture, one 0/1 column per option, and zeros
    for an inactive choice, ``d_i`` is half the squared Euclidean distance of two rows in the columns of choice i, so
    the kernel is Gaussian in a Euclidean space. With 0 in its place two architectures could differ, yet both equal a
    third in which the choice is inactive, and no Gaussian process allows that.

    Args:
        relevance: ``w``, shape (choices,), positive.
        choice_of: the index of each column's choice, shape (columns,).
    """

    relevance: Array
    choice_of: NDArray[np.intp]

    @cached_property
    def _weights(self) -> Array:
        return self.relevance[self.choice_of]

    def __call__(self, first: Array, second: Array) -> Array:
        """Return the correlations of the rows of two one-hot encodings, shapes (n, columns) and (m, columns): (n, m).

        See :meth:`SearchSpace.encode`.
        """
        weights = self._weights
        exponent = _products(first, second, weights)
        exponent -= (first @ weights)[:, None] / 2
        exponent -= (second @ weights)[None, :] / 2
        return np.asarray(np.exp(exponent, out=exponent))


def _products(first: Array, second: Array, weights: Array) -> Array:
    """Return the weighted products of rows; of choices with many options few columns are in use."""
    used = np.flatnonzero(first.any(axis=0))
    if 2 * len(used) > first.shape[1]:
        return np.asarray((first * weights) @ second.T)
    return np.asarray((first[:, used] * weights[used]) @ second[:, used].T)


class Distances:
    """The distances ``d_i`` of :class:`OverlapKernel` between all pairs of a few architectures, for any relevances.

    They take 8 bytes for each pair and choice: 40 MB for 140 architectures of 500 choices. What the kernel and its
    gradient cost does not depend on the number of options.

    Args:
        encoded: one-hot encodings, shape (n, columns).
        choice_of: the index of each column's choice, shape (columns,).
    """

    def __init__(self, encoded: Array, choice_of: NDArray[np.intp]) -> None:
        self._count = len(encoded)
        self._pairs = np.triu_indices(self._count, 1)
        row, column = np.nonzero(encoded)
        taken = np.full((self._count, int(choice_of.max()) + 1), INACTIVE)
        taken[row, choice_of[column]] = column
        one, other = taken[self._pairs[0]], taken[self._pairs[1]]
        self._distances = (one != other).astype(np.float64)
        self._distances[(one == INACTIVE) != (other == INACTIVE)] = 0.5

    def kernel(self, relevance: Array) -> Array:
        """Return the correlations, shape (n, n), for relevances of shape (choices,)."""
        found = np.eye(self._count)
        values = np.exp(-(self._distances @ relevance))
        found[self._pairs] = values
        found[self._pairs[::-1]] = values
        return found

    def gradient(self, relevance: Array, product: Array) -> Array:
        """Return the derivative of ``(factor * kernel(relevance)).sum()`` by each log relevance.

        Args:
            relevance: shape (choices,).
            product: ``factor * kernel(relevance)``, shape (n, n), symmetric.
        """
        return np.asarray(-2 * relevance * (product[self._pairs] @ self._distances))


def choice_of_columns(space: SearchSpace) -> NDArray[np.intp]:
    """Return, for each column of the space's one-hot encoding, the index of its choice."""
    return np.repeat(np.arange(len(space.choices)), [len(choice.options) for choice in space.choices])


@dataclass(frozen=True)
class Hyperparameters:
    """What is learned by marginal likelihood.

    Attributes:
        kernel: the kernel with its relevances.
        noise: the variance of the noise; that of the process is 1.
    """

    kernel: OverlapKernel
    noise: float


class LogPosterior:
    """The log marginal likelihood of the hyperparameters plus their log prior density, constants left out.

    Rasmussen and Williams 2006, "Gaussian processes for machine learning", equations 5.8 and 5.9. The log relevances
    have a normal prior with a common part and one of their own. So they shrink towards a level that is learned, and
    choices that matter more than others still stand out when the data say so. The level's prior does not depend on the
    number of choices: the median of the sum of all relevances is 1. The log noise has a normal prior too.

    Args:
        encoded: one-hot encodings, shape (n, columns).
        targets: shape (n,).
        choice_of: the index of each column's choice, shape (columns,).
    """

    def __init__(self, encoded: Array, targets: Array, choice_of: NDArray[np.intp]) -> None:
        self.encoded, self.targets, self.choice_of = encoded, targets, choice_of
        self._distances = Distances(encoded, choice_of)
        choices = int(choice_of.max()) + 1
        self.mean = np.append(np.full(choices, np.log(TOTAL_RELEVANCE / choices)), LOG_NOISE)

    def hyperparameters(self, logarithms: Array) -> Hyperparameters:
        """Return the hyperparameters of their logarithms: the relevances', then the noise's."""
        values = np.exp(logarithms)
        return Hyperparameters(OverlapKernel(values[:-1], self.choice_of), float(values[-1]))

    def __call__(self, logarithms: Array) -> tuple[float, Array]:
        """Return the value and its gradient, shape (choices + 1,)."""
        found = self.hyperparameters(logarithms)
        relevance = found.kernel.relevance
        correlations = self._distances.kernel(relevance)
        process = GaussianProcess(found, self.encoded, self.targets, correlations)
        pull = self._pull(logarithms - self.mean)
        slope = (np.outer(process.coefficients, process.coefficients) - process.inverse()) / 2
        by_relevance = self._distances.gradient(relevance, slope * correlations)
        gradient = np.append(by_relevance, np.trace(slope) * found.noise)
        return process.log_likelihood - float((logarithms - self.mean) @ pull) / 2, gradient - pull

    def _pull(self, deviation: Array) -> Array:
        """Return the prior's precision times a deviation from its mean.

        The covariance of the log relevances is ``OWN_SD**2 I + SHARED_SD**2``, inverted by Sherman and Morrison.
        """
        own = deviation[:-1]
        common = own.sum() * SHARED_SD**2 / (OWN_SD**2 + len(own) * SHARED_SD**2)
        return np.append((own - common) / OWN_SD**2, deviation[-1] / LOG_NOISE_SD**2)


def fit(encoded: Array, targets: Array, choice_of: NDArray[np.intp]) -> Hyperparameters:
    """Return the hyperparameters of the largest posterior density, by L-BFGS from the prior's mean.

    Args:
        encoded: one-hot encodings, shape (n, columns).
        targets: normal scores, shape (n,).
        choice_of: the index of each column's choice, shape (columns,).
    """
    density = LogPosterior(encoded, targets, choice_of)

    def loss(logarithms: Array) -> tuple[float, Array]:
        value, gradient = density(logarithms)
        return -value, -gradient

    bounds = optimize.Bounds(density.mean - BOUND, density.mean + BOUND)
    found = optimize.minimize(
        loss, density.mean, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": ITERATIONS}
    )
    return density.hyperparameters(found.x)


class GaussianProcess:
    """A process of mean 0 and variance 1, conditioned on noisy targets (Rasmussen and Williams 2006, algorithm 2.1).

    Args:
        hyperparameters: of the prior.
        encoded: one-hot encodings, shape (n, columns).
        targets: shape (n,).
        correlations: the kernel of the encodings, shape (n, n), where it is known already.
    """

    def __init__(
        self, hyperparameters: Hyperparameters, encoded: Array, targets: Array, correlations: Array | None = None
    ) -> None:
        self.hyperparameters, self.encoded, self.targets = hyperparameters, encoded, targets
        covariance = hyperparameters.kernel(encoded, encoded) if correlations is None else correlations.copy()
        covariance[np.diag_indices_from(covariance)] += hyperparameters.noise + JITTER
        self._cholesky = linalg.cholesky(covariance, lower=True, overwrite_a=True, check_finite=False)
        self.coefficients: Array = linalg.cho_solve((self._cholesky, True), targets, check_finite=False)

    @property
    def log_likelihood(self) -> float:
        """The log marginal likelihood of the targets, without its constant."""
        return -float(self.targets @ self.coefficients) / 2 - float(np.log(np.diag(self._cholesky)).sum())

    def inverse(self) -> Array:
        """Return the inverse of the targets' covariance, shape (n, n)."""
        lower = np.tril(linalg.lapack.dpotri(self._cholesky, lower=1)[0])
        return np.asarray(lower + np.tril(lower, -1).T)

    def mean(self, encoded: Array) -> Array:
        """Return the posterior mean at m encodings, shape (m,)."""
        return np.asarray(self.coefficients @ self.hyperparameters.kernel(self.encoded, encoded))

    def predict(self, encoded: Array) -> tuple[Array, Array]:
        """Return the posterior mean and standard deviation, noise excluded, at m encodings: two of shape (m,)."""
        return self.predict_from(self.hyperparameters.kernel(self.encoded, encoded))

    def predict_from(self, cross: Array) -> tuple[Array, Array]:
        """Return what :meth:`predict` does, from the correlations with them, shape (n, m), which it overwrites."""
        mean = self.coefficients @ cross
        solved = linalg.solve_triangular(self._cholesky, cross, lower=True, overwrite_b=True, check_finite=False)
        variance = 1 - np.einsum("ij,ij->j", solved, solved)
        return mean, np.sqrt(np.maximum(variance, JITTER))

    def solve(self, values: Array) -> Array:
        """Return the inverse of the targets' covariance times values of shape (n,)."""
        return np.asarray(linalg.cho_solve((self._cholesky, True), values, check_finite=False))

    def believing(self, encoded: Array) -> GaussianProcess:
        """Return the process that has also seen its own mean at m encodings: a Kriging believer.

        Ginsbourger et al. 2010, "Kriging is well-suited to parallelize optimization", section 4.2. The mean stays as it
        is everywhere; the standard deviation shrinks around what is pending.
        """
        if not len(encoded):
            return self
        return GaussianProcess(
            self.hyperparameters, np.vstack([self.encoded, encoded]), np.append(self.targets, self.mean(encoded))
        )

    def joined_by(self, encoded: Array) -> GaussianProcess:
        """Return what :meth:`believing` does, but for rounding, in O(n**2 m): the Cholesky factor is prolonged."""
        kernel, known, new = self.hyperparameters.kernel, len(self.targets), len(encoded)
        corner = kernel(encoded, encoded)
        corner[np.diag_indices_from(corner)] += self.hyperparameters.noise + JITTER
        cross = linalg.solve_triangular(self._cholesky, kernel(self.encoded, encoded), lower=True, check_finite=False)
        longer = copy(self)
        longer.encoded = np.vstack([self.encoded, encoded])
        longer.targets = np.append(self.targets, self.mean(encoded))
        longer.coefficients = np.append(self.coefficients, np.zeros(new))  # what was expected teaches nothing
        longer._cholesky = np.zeros((known + new, known + new), order="F")
        longer._cholesky[:known, :known] = self._cholesky
        longer._cholesky[known:, :known] = cross.T
        longer._cholesky[known:, known:] = linalg.cholesky(corner - cross.T @ cross, lower=True, check_finite=False)
        return longer
