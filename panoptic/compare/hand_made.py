"""The network made by hand in the size that costs as much as another one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.config_checks import SEARCHED_BACKBONE

LEAST, MOST = 1 / 8, 8.0
"""Factors of the widths that are tried."""
TOLERANCE = 0.1
"""Share by which the cost of a network may differ from the one that it stands beside."""
_MOST_TRIED = 12
"""Sizes that are tried at most; after as many no width moves any more."""


def scaled(config: PanopticConfig, factor: float) -> PanopticConfig:
    """Return a config of the published space with all its widths times a factor, depths and operators as they are.

    Widths are rounded to whole groups of the norms and to even channels, and none is less than fusion units take. A
    fixed backbone keeps its own.
    """
    groups = config.norm_groups

    def grouped(width: int, least: int) -> int:
        return max(-(-least // groups), round(factor * width / groups)) * groups

    least = max(config.fusion_reductions)
    config = replace(
        config,
        pyramid_channels=grouped(config.pyramid_channels, least),
        segmentation_channels=grouped(config.segmentation_channels, least),
        box_hidden=grouped(config.box_hidden, 1),
    )
    if config.backbone != SEARCHED_BACKBONE:
        return config

    def even(width: int) -> int:
        return max(2, 2 * round(factor * width / 2))

    c2, c3, c4, c5 = map(even, config.stage_widths)
    return replace(config, stem_width=even(config.stem_width), stage_widths=(c2, c3, c4, c5))


def at_cost(config: PanopticConfig, wanted: float, cost: Callable[[PanopticConfig], float]) -> PanopticConfig:
    """Return the scaled config whose network's cost is nearest to the one that is wanted, by its logarithm.

    Args:
        config: Of the network in its own size.
        wanted: The cost, above 0.
        cost: Of a config's network; grows with the widths.

    Raises:
        ValueError: If none comes within `TOLERANCE` of it; names the nearest.
    """
    tried: dict[PanopticConfig, float] = {}
    low, high, factor = LEAST, MOST, 1.0
    while (one := scaled(config, factor)) not in tried and len(tried) < _MOST_TRIED:
        tried[one] = cost(one)
        low, high = (factor, high) if tried[one] < wanted else (low, factor)
        # A layer's cost goes with the square of its width, the whole network's about so.
        guess = min(max(factor * math.sqrt(wanted / tried[one]), LEAST), MOST)
        middle = math.sqrt(low * high)
        factor = middle if not low <= guess <= high or scaled(config, guess) in tried else guess
    best = min(tried, key=lambda one: abs(math.log(tried[one] / wanted)))
    if not near(tried[best], wanted):
        raise ValueError(
            f"the hand-made network cannot be scaled to {wanted:.3g} GFLOPs: the nearest has {tried[best]:.3g}, with "
            f"{best.pyramid_channels} channels in the pyramid"
        )
    return best


def near(cost: float, other: float) -> bool:
    """Return whether two costs count as equal."""
    return abs(math.log(cost / other)) <= math.log1p(TOLERANCE)
