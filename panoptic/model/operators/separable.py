"""Depthwise-separable convolution, an operator of the heads; the one that others inherit from."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from autopanoptic.nas import ElasticConv2d, Size
from autopanoptic.panoptic.model.operators.kernels import TrainedKernel, bias_of, draw_xavier, padded
from autopanoptic.panoptic.model.parts.kinds import HeadOperator


class DepthwiseSeparable(nn.Module):
    """A depthwise convolution and a 1x1 convolution, both with bias and nothing between."""

    def __init__(self, in_channels: Size, out_channels: Size, kernel: int) -> None:
        super().__init__()
        self.depthwise = ElasticConv2d(in_channels, in_channels, kernel, padding=kernel // 2, groups="depthwise")
        self.pointwise = ElasticConv2d(in_channels, out_channels, 1)
        draw_xavier(self.depthwise)
        draw_xavier(self.pointwise)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, H, W)."""
        mixed: Tensor = self.pointwise(self.depthwise(x))
        return mixed

    def learned(self) -> TrainedKernel:
        """What other operators begin with."""
        depthwise, pointwise = self.depthwise, self.pointwise
        return TrainedKernel(depthwise.weight, bias_of(depthwise), pointwise.weight, bias_of(pointwise))


def separable(name: str, kernel: int) -> HeadOperator:
    """The operator with this name and kernel size."""
    return HeadOperator(name, partial(DepthwiseSeparable, kernel=kernel), _inherit, elastic=True)


def _inherit(layer: DepthwiseSeparable, trained: TrainedKernel) -> None:
    layer.depthwise.weight.copy_(padded(trained.depthwise, layer.depthwise.weight))
    bias_of(layer.depthwise).copy_(trained.depthwise_bias)
    layer.pointwise.weight.copy_(trained.pointwise)
    bias_of(layer.pointwise).copy_(trained.pointwise_bias)
