"""What a layer of a head can be: an operator is one object, and known by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from autopanoptic.nas import Size
from autopanoptic.panoptic.model.operators.kernels import TrainedKernel


@dataclass(frozen=True)
class HeadOperator:
    """An operator of the mask head's and the segmentation head's layers.

    Attributes:
        name: The option's name in an architecture.
        build: Takes the channels of input and output, in the elastic space sizes for elastic layers, and makes the
            layer, (B, C_in, H, W) to (B, C_out, H, W), with a bias and without norm or activation, which all options
            share.
        inherit: Takes a layer that `build` has made and what a trained layer has learned, and copies that as well as it
            can, so that a supernet of which one path has been trained begins with all options warm.
    """

    name: str
    build: Callable[[Size, Size], nn.Module]
    inherit: Callable[[Any, TrainedKernel], None]

    def __post_init__(self) -> None:
        if not self.name or "." in self.name:
            raise ValueError(f"an operator's name must not be empty or hold a dot, as {self.name!r} does")
