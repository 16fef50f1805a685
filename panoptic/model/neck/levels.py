"""What feature pyramids share: their levels and layers."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from autopanoptic.nas import ElasticConv2d, Size
from autopanoptic.panoptic.model.padding import group_norm
from autopanoptic.panoptic.model.shapes import Features

LEVELS = ("p2", "p3", "p4", "p5", "p6")


def convolution(in_channels: Size, out_channels: Size, groups: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution without bias and its group norm."""
    convolution = ElasticConv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_uniform_(convolution.weight, a=1)
    return nn.Sequential(convolution, group_norm(groups, out_channels))


def subsample(x: Tensor) -> Tensor:
    """Every other pixel, (B, C, H, W) to (B, C, H / 2, W / 2)."""
    return functional.max_pool2d(x, kernel_size=1, stride=2)


def resize(x: Tensor, like: Tensor) -> Tensor:
    """The nearest pixels, in the size of another map."""
    return functional.interpolate(x, size=like.shape[-2:], mode="nearest")


def with_p6(levels: list[Tensor]) -> Features:
    """P2..P5 and, from P5, P6."""
    return dict(zip(LEVELS, [*levels, subsample(levels[-1])], strict=True))
