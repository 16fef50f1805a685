"""What a panoptic network costs, as functions of its architecture."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch

from autopanoptic.nas import (
    AdditiveCost,
    Architecture,
    FlopCount,
    LayerCosts,
    ParameterCount,
    SearchSpace,
    Supernet,
)
from autopanoptic.nas.costs.latency import time_forward
from autopanoptic.nas.supernet.state import seeded
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.parts.registry import flop_formulas
from autopanoptic.panoptic.model.precision import computing

LATENCY_REPEATS = 11


@lru_cache(2)
def costs_of(config: PanopticConfig, height: int, width: int) -> dict[str, Callable[[Architecture], float]]:
    """Return GFLOPs and millions of parameters as functions of an architecture.

    Among operators no option changes the shapes that other choices see, so both are sums over the choices, of which
    each option is measured when it is first met. Widths multiply, so with widths and depths they are sums over layers,
    for which some dozens of passes are made when the first is asked for.

    Args:
        config: Of the networks.
        height: Of the image that a network sees, in pixels.
        width: Likewise.
    """
    with torch.device("meta"):
        supernet = Supernet(PanopticNetwork(config))
    image, formulas = torch.zeros(1, 3, height, width, device="meta"), flop_formulas(config)
    if _has_sizes(supernet.space):
        costs = LayerCosts(supernet, image, unit=1e9, formulas=formulas)
        return {"gflops": costs, "mparams": lambda architecture: costs.parameters(architecture) / 1e6}
    flops = FlopCount(supernet, image, formulas=formulas)
    return {
        "gflops": AdditiveCost(supernet.space, flops, unit=1e9),
        "mparams": AdditiveCost(supernet.space, ParameterCount(supernet), unit=1e6),
    }


def _has_sizes(space: SearchSpace) -> bool:
    """Return whether a space has widths or depths, beside operators."""
    return any(choice.conditions or isinstance(option, int) for choice in space.choices for option in choice.options)


def latency_of(
    config: PanopticConfig, height: int, width: int, device: torch.device, precision: str = "32-true"
) -> Callable[[Architecture], float]:
    """Return the milliseconds of one image as a function of an architecture, measured on its stand-alone network.

    As in a count of FLOPs there are as many regions as there are at most, so that the time depends on the architecture
    and not on what a network sees. Whatever else the machine does at the time is in it.

    Args:
        config: Of the networks.
        height: Of the image that a network sees, in pixels.
        width: Likewise.
        device: Where to measure.
        precision: In which networks compute.
    """
    with torch.device("meta"):
        supernet = Supernet(PanopticNetwork(config))
    image = torch.zeros(1, 3, height, width, device=device)

    def measure(architecture: Architecture) -> float:
        with seeded(0):
            network = supernet.subnet(architecture, inherit=False).to(device)
        with computing(precision, device):
            return time_forward(network, [image], warmup=2, repeats=LATENCY_REPEATS).median

    return measure
