"""The six options of a mask-head or segmentation layer (Auto-Panoptic, NeurIPS 2020)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from autopanoptic.nas import LayerChoice
from autopanoptic.panoptic.model.operators.deform import deform_conv2d
from autopanoptic.panoptic.model.operators.options import HEAD_OPTIONS


class DepthwiseSeparable(nn.Module):
    """A depthwise convolution and a 1x1 convolution, both with bias and nothing between."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(in_channels, in_channels, kernel, padding=kernel // 2, groups=in_channels)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1)
        _init_xavier(self.depthwise)
        _init_xavier(self.pointwise)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, H, W)."""
        mixed: Tensor = self.pointwise(self.depthwise(x))
        return mixed


class Deformable(nn.Module):
    """A modulated deformable convolution that starts with zero offsets and every tap weighed by one half.

    One convolution predicts 3 k^2 channels from the input: y and x offsets of the k^2 taps, then the
    modulation's logits (Zhu et al. 2019).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.taps = kernel * kernel
        self.offset = nn.Conv2d(in_channels, 3 * self.taps, kernel, padding=kernel // 2)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        bound = 1 / math.sqrt(in_channels * self.taps)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.zeros_(self.offset.weight)
        _zero_bias(self.offset)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, H, W)."""
        offset, modulation = self.offset(x).split((2 * self.taps, self.taps), dim=1)
        return deform_conv2d(x, offset, modulation.sigmoid(), self.weight, self.bias)


class Atrous(nn.Conv2d):
    """A full convolution with dilation 2 that keeps the size: (B, C_in, H, W) to (B, C_out, H, W)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__(in_channels, out_channels, kernel, padding=kernel - 1, dilation=2)
        _init_xavier(self)


def head_layer(in_channels: int, out_channels: int, groups: int, label: str) -> nn.Sequential:
    """A searched layer of a head: one of `HEAD_OPTIONS`, group norm, ReLU.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output, a multiple of ``groups``.
        groups: Groups of the norm, which all options share.
        label: The choice's label.
    """
    kinds = {"dw": DepthwiseSeparable, "df": Deformable, "at": Atrous}
    options = {name: kinds[name[:2]](in_channels, out_channels, int(name[2])) for name in HEAD_OPTIONS}
    return nn.Sequential(LayerChoice(options, label=label), nn.GroupNorm(groups, out_channels), nn.ReLU())


def _init_xavier(convolution: nn.Conv2d) -> None:
    nn.init.xavier_normal_(convolution.weight)
    _zero_bias(convolution)


def _zero_bias(convolution: nn.Conv2d) -> None:
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
