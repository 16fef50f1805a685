"""What part of a population's values says of the mean of all: a bound, and a bet."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FRACTIONS = np.linspace(0.05, 0.95, 19)
ROUNDING = 1e-9
"""Beyond what sums of a few thousand scores in [0, 1] lose in double precision."""


class Bet(NamedTuple):
    """A bet that the mean of a population is below a value, as it stands after some of the population.

    Attributes:
        final: the value, in [0, 1].
        total: the size of the population.
        seen: how many of it have been seen.
        sum: their sum.
        growth: (19,) by what each gambler's capital has grown.
    """

    final: float
    total: int
    seen: int = 0
    sum: float = 0.0
    growth: NDArray[np.float64] = np.ones(len(FRACTIONS))

    def after(self, chunks: NDArray[np.float64]) -> Bet:
        """Return the bet after more chunks, in [0, 1]."""
        sums = self.sum + np.concatenate(([0.0], chunks.cumsum()))
        left = self.total - self.seen - np.arange(len(chunks))
        # The mean of the chunks to come, were it to be `final`; below 1, as the largest stake is 1 / (1 - ahead).
        ahead = np.minimum((self.total * self.final - sums[:-1]) / left, 1 - ROUNDING)
        growth = 1 + FRACTIONS[:, None] * (ahead - chunks) / (1 - ahead)
        return self._replace(
            seen=self.seen + len(chunks), sum=float(sums[-1]), growth=self.growth * growth.prod(axis=1)
        )

    @property
    def capital(self) -> float:
        """The gamblers' mean capital; infinity when the rest cannot bring the mean up to ``final``."""
        if self.sum + self.total - self.seen < self.total * self.final - ROUNDING:
            return math.inf
        return float(self.growth.mean())


class Scores(NamedTuple):
    """What the chunks that a trial has reported say of one objective, of which more is better.

    Attributes:
        total: the sum of the chunks' scores.
        chunk: the score of the last.
        mean: the mean of them.
        squares: the sum of their squared distances from the mean.
        constant: whether all reports were of one value.
        value: the last of them.
    """

    total: float = 0.0
    chunk: float = 0.0
    mean: float = 0.0
    squares: float = 0.0
    constant: bool = True
    value: float = math.nan

    def after(self, value: float, number: int) -> Scores:
        """Return this after a report, the ``number``-th, of the mean so far."""
        total = value * number
        chunk = total - self.total
        # Welford 1962, "Note on a method for calculating corrected sums of squares and products".
        mean = self.mean + (chunk - self.mean) / number
        squares = self.squares + (chunk - self.mean) * (chunk - mean)
        return Scores(total, chunk, mean, squares, self.constant and (number == 1 or value == self.value), value)

    def upper_bound(self, seen: int, total: int, error: float) -> float:
        """Return the normal bound on the final score; a constant is itself."""
        if self.constant:
            return self.value
        return upper_bound(self.mean, self.squares / (seen - 1), seen, total, error)


def normal_upper_bound(chunks: NDArray[np.float64], total: int, error: float) -> float:
    """Return what the mean of a whole population exceeds with a probability of ``error``.

    Args:
        chunks: (m,) values drawn without replacement, at least 2; the population's are independent and normal.
        total: the size of the population.
        error: above 0 and below 1.
    """
    return upper_bound(float(chunks.mean()), float(chunks.var(ddof=1)), len(chunks), total, error)


def upper_bound(mean: float, variance: float, seen: int, total: int, error: float) -> float:
    """Return :func:`normal_upper_bound` of ``seen`` values of which the mean and the variance are known."""
    from scipy.special import stdtrit

    deviation = math.sqrt(max(variance, 0.0) / seen * (1 - seen / total))
    return float(mean + stdtrit(seen - 1, 1 - error) * deviation)


def betting_capital(chunks: NDArray[np.float64], total: int, final: float) -> float:
    """Return the capital, at first 1, of a gambler who bets that a population's mean is below ``final``.

    Where the mean is ``final`` or more it ever reaches c with a probability of at most 1 / c. It grows with ``final``.

    Args:
        chunks: (m,) values in [0, 1] in the order in which they were drawn without replacement.
        total: the size of the population.
        final: the mean that is in question.

    Returns:
        Infinity when the rest cannot bring the mean up to ``final``.
    """
    return Bet(final, total).after(chunks).capital
