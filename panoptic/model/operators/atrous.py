"""Dilated ("atrous") convolution, an operator of the heads."""

from __future__ import annotations

from functools import partial

from torch import nn

from autopanoptic.nas import ElasticConv2d, Size
from autopanoptic.panoptic.model.operators.kernels import TrainedKernel, bias_of, draw_xavier, padded, spread
from autopanoptic.panoptic.model.parts.kinds import HeadOperator


def _convolution(in_channels: Size, out_channels: Size, kernel: int) -> nn.Conv2d:
    """A full convolution with dilation 2 that keeps the size: (B, C_in, H, W) to (B, C_out, H, W)."""
    convolution = ElasticConv2d(in_channels, out_channels, kernel, padding=kernel - 1, dilation=2)
    draw_xavier(convolution)
    return convolution


def atrous(name: str, kernel: int) -> HeadOperator:
    """The operator with this name and kernel size."""
    return HeadOperator(name, partial(_convolution, kernel=kernel), _inherit, elastic=True)


def _inherit(layer: nn.Conv2d, trained: TrainedKernel) -> None:
    layer.weight.copy_(padded(spread(trained.dense), layer.weight))
    bias_of(layer).copy_(trained.bias)
