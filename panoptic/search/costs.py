"""What a panoptic network costs, as functions of its architecture."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch

from autopanoptic.nas import AdditiveCost, Architecture, FlopCount, ParameterCount, Supernet
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.operators.deform import FLOP_FORMULAS


@lru_cache(2)
def costs_of(config: PanopticConfig, height: int, width: int) -> dict[str, Callable[[Architecture], float]]:
    """Return GFLOPs and millions of parameters as functions of an architecture.

    No option changes the shapes that other choices see, so both are sums over the choices. They are kept, since each
    option is measured when it is first met.

    Args:
        config: Of the networks.
        height: Of the image that a network sees, in pixels.
        width: Likewise.
    """
    with torch.device("meta"):
        supernet = Supernet(PanopticNetwork(config))
    flops = FlopCount(supernet, torch.zeros(1, 3, height, width, device="meta"), formulas=FLOP_FORMULAS)
    return {
        "gflops": AdditiveCost(supernet.space, flops, unit=1e9),
        "mparams": AdditiveCost(supernet.space, ParameterCount(supernet), unit=1e6),
    }
