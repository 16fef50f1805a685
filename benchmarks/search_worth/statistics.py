"""How sure the figures are: rank correlations over architectures, and paired differences over seeds.

The test of paired differences was named before any run: two-sided, exact, by all changes of their signs (Fisher's
permutation test of paired samples). With n seeds its p is at least 2 / 2^n: 0.0078 for 8 and 0.0625 for 5. Where both
of a pair are one network, as where what was found is the opponent itself, their difference is 0, and n counts the
others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from autopanoptic.panoptic.compare.statistics import mean_of
from benchmarks.rank_correlations import correlation, kendall_tau, spearman_rho

MOST_PAIRS = 20
"""Of which all changes of signs, a million, are gone through at once."""
EQUAL = 1e-9
"""Points by which two means may differ and still be the same one, added up in another order."""
TESTED = 3
"""Pairs without which nothing is tested: so many cannot give a p below 0.25, and fewer none below 0.5."""
Interval = tuple[float, float, float]
"""A value, and the ends of its 95% interval."""


@dataclass(frozen=True)
class Paired:
    """Differences of pairs.

    Attributes:
        value: Their mean.
        half: Half of its 95% interval by Student's t; None with one pair.
        p: Of `sign_flip_p`.
        pairs: How many there are.
        alike: How many of them differ by nothing.
    """

    value: float
    half: float | None
    p: float
    pairs: int
    alike: int = 0


def paired(differences: Sequence[float]) -> Paired:
    """Return what some paired differences, at least one, say together."""
    mean = mean_of(differences)
    alike = sum(abs(one) < EQUAL for one in differences)
    return Paired(mean.value, mean.half, sign_flip_p(differences), len(differences), alike)


def sign_flip_p(differences: Sequence[float]) -> float:
    """Return the two-sided p of the hypothesis that each difference could as well have the other sign.

    It is the share of all 2^n changes of signs whose mean is at least as far from 0 as the one found.

    Raises:
        ValueError: If there are none, or more than 20.
    """
    if not 0 < len(differences) <= MOST_PAIRS:
        raise ValueError(f"an exact test takes 1 to {MOST_PAIRS} pairs, not {len(differences)}")
    return float(sign_flip_ps(np.array([differences], dtype=np.float64))[0])


def sign_flip_ps(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `sign_flip_p` of each of several studies; of an array (studies, pairs) an array (studies)."""
    pairs = differences.shape[1]
    flips = np.arange(2**pairs)[:, None] >> np.arange(pairs) & 1
    means = differences @ (1 - 2 * flips).T / pairs
    found: NDArray[np.float64] = (abs(means) >= abs(differences.mean(axis=1, keepdims=True)) - EQUAL).mean(axis=1)
    return found


def holm(ps: Sequence[float]) -> list[float]:
    """Return p-values so that one below a level among them is wrong with that probability at most (Holm 1979)."""
    found, least = [0.0] * len(ps), 0.0
    for rank, place in enumerate(np.argsort(ps)):
        least = max(least, min(1.0, (len(ps) - rank) * ps[place]))
        found[int(place)] = least
    return found


def rank_correlations(a: Sequence[float], b: Sequence[float]) -> dict[str, Interval]:
    """Return Kendall's tau and Spearman's rho, with 95% bootstrap intervals over what is ranked."""
    return _rank_correlations(tuple(a), tuple(b))


@lru_cache  # a page tells of most of them more than once
def _rank_correlations(a: tuple[float, ...], b: tuple[float, ...]) -> dict[str, Interval]:
    return {"tau": correlation(kendall_tau, a, b), "rho": correlation(spearman_rho, a, b)}
