"""Dilated ("atrous") convolution, an operator of the heads."""

from __future__ import annotations

from functools import partial

from torch import nn

from autopanoptic.panoptic.model.operators.kernels import TrainedKernel, bias_of, draw_xavier, padded, spread
from autopanoptic.panoptic.model.operators.operator import HeadOperator


class Atrous(nn.Conv2d):
    """A full convolution with dilation 2 that keeps the size: (B, C_in, H, W) to (B, C_out, H, W)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__(in_channels, out_channels, kernel, padding=kernel - 1, dilation=2)
        draw_xavier(self)


def atrous(name: str, kernel: int) -> HeadOperator:
    """The operator with this name and kernel size."""
    return HeadOperator(name, partial(Atrous, kernel=kernel), _inherit)


def _inherit(layer: Atrous, trained: TrainedKernel) -> None:
    layer.weight.copy_(padded(spread(trained.dense), layer.weight))
    bias_of(layer).copy_(trained.bias)
