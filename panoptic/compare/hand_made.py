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
_STEPS = 16
"""Halvings of the factors between them; after these no width moves any more."""


def scaled(config: PanopticConfig, factor: float) -> PanopticConfig:
    """Return a config of the published space with all its widths times a factor, depths and operators as they are.

    Widths are rounded to whole groups of the norms and to even channels, and none is less than fusion units take. A
    fixed backbone keeps its own.
    """
    groups = config.norm_groups

    def grouped(width: int, least: int) -> int:
        return max(-(-least // groups), round(factor * width / groups)) * groups

    heads = {
        name: grouped(getattr(config, name), least)
        for name, least in (
            ("pyramid_channels", max(config.fusion_reductions)),
            ("segmentation_channels", max(config.fusion_reductions)),
            ("box_hidden", 1),
        )
    }
    if config.backbone != SEARCHED_BACKBONE:
        return replace(config, **heads)
    # Half a stage's channels go past a block, so that there are two at least.
    stem, *stages = (max(2, 2 * round(factor * width / 2)) for width in (config.stem_width, *config.stage_widths))
    return replace(config, stem_width=stem, stage_widths=tuple(stages), **heads)


def at_cost(config: PanopticConfig, wanted: float, cost: Callable[[PanopticConfig], float]) -> PanopticConfig:
    """Return the scaled config whose network's cost is nearest to the one that is wanted, by its logarithm.

    Args:
        config: Of the network in its own size.
        wanted: The cost, above 0.
        cost: Of a config's network; grows with the widths.

    Raises:
        ValueError: If none comes within `TOLERANCE` of it; names the nearest.
    """
    low, high = math.log(LEAST), math.log(MOST)
    tried: dict[PanopticConfig, float] = {config: cost(config)}
    for _ in range(_STEPS):
        middle = (low + high) / 2
        one = scaled(config, math.exp(middle))
        if one not in tried:
            tried[one] = cost(one)
        low, high = (middle, high) if tried[one] < wanted else (low, middle)
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
