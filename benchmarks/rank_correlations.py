"""Rank correlations with bootstrap intervals over many draws at once, where scipy takes one draw at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Signs: TypeAlias = NDArray[np.float64]
"""(..., n, n): whether each value is more than each other one (1), equal (0) or less (-1)."""
DRAWS, AT_ONCE = 1000, 100


def kendall_tau(a: Signs, b: Signs) -> NDArray[np.float64]:
    """Return Kendall's tau-b, (...); NaN where all values of one side are equal."""
    axes = (-2, -1)
    return _ratio((a * b).sum(axes), (a * a).sum(axes) * (b * b).sum(axes))


def spearman_rho(a: Signs, b: Signs) -> NDArray[np.float64]:
    """Return Spearman's rho with mean ranks of equal values, (...); NaN where all values of one side are equal."""
    first, second = a.sum(-1), b.sum(-1)  # twice each rank, less their mean
    return _ratio((first * second).sum(-1), (first * first).sum(-1) * (second * second).sum(-1))


def correlation(
    measure: Callable[[Signs, Signs], NDArray[np.float64]], a: Sequence[float], b: Sequence[float]
) -> tuple[float, float, float]:
    """Return a rank correlation and the ends of its 95% percentile interval over 1,000 draws of the ranked things.

    Args:
        measure: `kendall_tau` or `spearman_rho`. Draws in which it is not defined, because all values of one side are
            equal, are left out.
        a: The values of one side, finite.
        b: Those of the other.
    """
    first, second = _signs(a), _signs(b)
    draws = np.random.default_rng(0).integers(len(first), size=(DRAWS, len(first)))
    known = [
        measure(*(signs[some[:, :, None], some[:, None, :]] for signs in (first, second)))
        for some in np.split(draws, range(AT_ONCE, DRAWS, AT_ONCE))
    ]
    low, high = np.nanquantile(np.concatenate(known), [0.025, 0.975])
    return float(measure(first, second)), float(low), float(high)


def _signs(values: Sequence[float]) -> Signs:
    found = np.asarray(values, dtype=np.float64)
    return np.sign(found[:, None] - found[None, :])


def _ratio(dividend: NDArray[np.float64], squares: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        found: NDArray[np.float64] = dividend / np.sqrt(squares)
    return found
