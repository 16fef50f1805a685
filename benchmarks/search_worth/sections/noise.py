"""What trainings of one network differ in, which is luck, and networks from each other, which is not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import mean, variance
from typing import NamedTuple

FEWEST = 4
"""Networks without which nothing is said of them together."""


class Noise(NamedTuple):
    """Standard deviations in PQ.

    Attributes:
        within: Of trainings of one network from each other.
        between: Of networks from each other, when the trainings' part of that is taken out.
    """

    within: float
    between: float


def noise_of(trained: Sequence[Mapping[str, float]]) -> Noise | None:
    """Return the two parts by a one-way analysis of variance.

    Args:
        trained: The PQ of each network by its name, for each seed.

    Returns:
        None with fewer than two seeds, or fewer than `FEWEST` networks that have been trained with all.
    """
    whole = _trained_with_all(trained)
    if len(trained) < 2 or len(whole) < FEWEST:
        return None
    within = mean(variance([one[name] for one in trained]) for name in whole)
    between = variance([mean(one[name] for one in trained) for name in whole]) - within / len(trained)
    return Noise(math.sqrt(within), math.sqrt(max(0.0, between)))


def tau_of_truth(noise: Noise, seeds: int) -> float:
    """Return Kendall's tau between what networks are and the mean of some trainings of each, were both normal.

    For two normal variables it is 2 / pi arcsin of their correlation.
    """
    whole = noise.between**2 + noise.within**2 / seeds
    return 2 / math.pi * math.asin(math.sqrt(noise.between**2 / whole)) if whole else 1.0


def luckiest(trained: Sequence[Mapping[str, Mapping[str, float]]]) -> str | None:
    """Return the category whose PQ differs most between trainings of one network.

    Args:
        trained: The PQ of each category by its name, of each network, for each seed.
    """
    whole = _trained_with_all(trained)
    if len(trained) < 2 or not whole:
        return None

    def within(category: str) -> float:
        return mean(variance([one[name][category] for one in trained]) for name in whole)

    shared = set.intersection(*(set(one[name]) for one in trained for name in whole))
    return max(sorted(shared), key=within, default=None)


def mean_without(category: str, by_category: Mapping[str, float]) -> float:
    """Return the mean PQ over all other categories."""
    return mean(value for name, value in by_category.items() if name != category)


def _trained_with_all(trained: Sequence[Mapping[str, object]]) -> list[str]:
    return [name for name in trained[0] if all(name in one for one in trained)] if trained else []
