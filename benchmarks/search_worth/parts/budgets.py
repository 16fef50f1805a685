"""The costs that networks may have where they are compared, which depend on the settings alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from autopanoptic.nas import Architecture, SearchSpace
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.results.fronts import TOLERANCE, middle_of
from autopanoptic.panoptic.search.strategies import family
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.costs import costs
from benchmarks.search_worth.study import MIDDLE, SMALL


def budgets(settings: Settings, datasets: Datasets, space: SearchSpace) -> dict[str, float]:
    """Return GFLOPs by the names of budgets: the one that a run takes by itself, and about half of it.

    Both are costs of networks of the hand-made family.
    """
    prices = list(map(costs(settings, datasets)["gflops"], family(space)))
    middle = middle_of(prices)
    return {MIDDLE: middle, SMALL: min(prices, key=lambda price: abs(price - middle / 2))}


def drawn_within(
    space: SearchSpace, cost: Callable[[Architecture], float], budget: float, count: int, seed: int
) -> list[Architecture]:
    """Return different random architectures that cost more than half of a budget and keep it."""
    rng = np.random.default_rng([seed, 2])
    kept = space.where(
        lambda one: budget / 2 < cost(one) <= budget * (1 + TOLERANCE), "half of the budget to all of it"
    )
    found: dict[Architecture, None] = {}
    while len(found) < count:
        found.setdefault(kept.sample(rng))
    return list(found)
