"""The feature pyramid network (Lin et al. 2017)."""

from __future__ import annotations

from torch import Tensor, nn

from autopanoptic.nas import ElasticConv2d, Size
from autopanoptic.panoptic.model.neck.levels import resize, with_p6
from autopanoptic.panoptic.model.padding import blank, group_norm
from autopanoptic.panoptic.model.shapes import Features


class TopDown(nn.Module):
    """Lateral 1x1 and output 3x3 convolutions, each with group norm, and the sums from the coarsest level down.

    torchvision's `FeaturePyramidNetwork`, whose names and draws of weights it has, but blind to padding.

    Args:
        in_channels: Channels of C2..C5.
        channels: Channels of every level of the pyramid.
        groups: Groups of the norms.
    """

    def __init__(self, in_channels: list[Size], channels: Size, groups: int) -> None:
        super().__init__()
        self.inner_blocks, self.layer_blocks = nn.ModuleList(), nn.ModuleList()
        for width in in_channels:
            self.inner_blocks.append(_normed(ElasticConv2d(width, channels, 1, bias=False), channels, groups))
            output = ElasticConv2d(channels, channels, 3, padding=1, bias=False)
            self.layer_blocks.append(_normed(output, channels, groups))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """C2..C5 to P2..P5."""
        laterals = [block(x) for block, x in zip(self.inner_blocks, features, strict=True)]
        sums = [laterals[-1]]
        for lateral in laterals[-2::-1]:
            # A cell that an image covers in part passes on to cells that it does not cover.
            sums.insert(0, blank(lateral + resize(sums[0], lateral)))
        return [block(x) for block, x in zip(self.layer_blocks, sums, strict=True)]


class FPN(nn.Module):
    """Feature pyramid network (Lin et al. 2017) with group norm after each convolution; P6 subsamples P5.

    Args:
        in_channels: Channels of C2..C5.
        channels: Channels of every level of the pyramid.
        groups: Groups of the norms.
    """

    def __init__(self, in_channels: list[Size], channels: Size, groups: int) -> None:
        super().__init__()
        self.fpn = TopDown(in_channels, channels, groups)

    def forward(self, features: Features) -> Features:
        """C2..C5 to P2..P6."""
        return with_p6(self.fpn(list(features.values())))


def _normed(convolution: nn.Conv2d, channels: Size, groups: int) -> nn.Sequential:
    return nn.Sequential(convolution, group_norm(groups, channels))
