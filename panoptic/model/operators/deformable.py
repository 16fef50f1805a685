"""Deformable convolution, an operator of the heads."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn

from autopanoptic.nas import ElasticConv2d, ElasticLayer, Size
from autopanoptic.nas.supernet.elastic.sizes import size_of
from autopanoptic.panoptic.model.operators.deform import FLOP_FORMULAS, deform_conv2d
from autopanoptic.panoptic.model.operators.kernels import TrainedKernel, bias_of, padded
from autopanoptic.panoptic.model.parts.kinds import HeadOperator
from autopanoptic.panoptic.model.sizes import active, largest


class Deformable(nn.Module):
    """A deformable convolution that starts with zero offsets and, modulated, every tap weighed by one half.

    One convolution predicts 3 k^2 channels from the input: y and x offsets of the k^2 taps, then the
    modulation's logits (Zhu et al. 2019); without modulation the offsets alone (Dai et al. 2017).
    """

    def __init__(self, in_channels: Size, out_channels: Size, kernel: int, *, modulated: bool = True) -> None:
        super().__init__()
        self.taps, self.modulated = kernel * kernel, modulated
        self.offset = ElasticConv2d(in_channels, (3 if modulated else 2) * self.taps, kernel, padding=kernel // 2)
        entering, leaving = largest(in_channels), largest(out_channels)
        self.weight = nn.Parameter(torch.empty(leaving, entering, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(leaving))
        bound = 1 / math.sqrt(entering * self.taps)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(bias_of(self.offset))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, H, W)."""
        offset, modulation = self.offset(x), None
        if self.modulated:
            offset, modulation = offset.split((2 * self.taps, self.taps), dim=1)
            modulation = modulation.sigmoid()
        return deform_conv2d(x, offset, modulation, active(self, "weight"), active(self, "bias"))


class ElasticDeformable(ElasticLayer, Deformable):
    """A deformable convolution of elastic widths: its active part is a slice of the kernel."""

    def __init__(self, in_channels: Size, out_channels: Size, kernel: int, *, modulated: bool = True) -> None:
        super().__init__(in_channels, out_channels, kernel, modulated=modulated)
        self.in_size, self.out_size = size_of(in_channels), size_of(out_channels)
        side = size_of(kernel)
        self.layout = {"weight": (self.out_size, self.in_size, side, side), "bias": (self.out_size,)}


def deformable_layer(in_channels: Size, out_channels: Size, kernel: int, *, modulated: bool = True) -> Deformable:
    """A deformable convolution of fixed or of elastic widths."""
    if isinstance(in_channels, int) and isinstance(out_channels, int):
        return Deformable(int(in_channels), int(out_channels), kernel, modulated=modulated)
    return ElasticDeformable(in_channels, out_channels, kernel, modulated=modulated)


def deformable(name: str, kernel: int) -> HeadOperator:
    """The operator with this name and kernel size."""
    return HeadOperator(name, partial(deformable_layer, kernel=kernel), _inherit, elastic=True, flops=FLOP_FORMULAS)


def _inherit(layer: Deformable, trained: TrainedKernel) -> None:
    # A new modulated convolution weighs every tap by sigmoid(0) = 1/2.
    layer.weight.copy_((2 if layer.modulated else 1) * padded(trained.dense, layer.weight))
    layer.bias.copy_(trained.bias)
    layer.offset.weight.zero_()
    bias_of(layer.offset).zero_()
