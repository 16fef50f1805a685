"""The feature pyramid network (Lin et al. 2017)."""

from __future__ import annotations

from functools import partial

from torch import nn
from torchvision.ops import FeaturePyramidNetwork

from autopanoptic.panoptic.model.neck.levels import with_p6
from autopanoptic.panoptic.model.shapes import Features


class FPN(nn.Module):
    """Feature pyramid network (Lin et al. 2017) with group norm after each convolution; P6 subsamples P5.

    Args:
        in_channels: Channels of C2..C5.
        channels: Channels of every level of the pyramid.
        groups: Groups of the norms.
    """

    def __init__(self, in_channels: list[int], channels: int, groups: int) -> None:
        super().__init__()
        self.fpn = FeaturePyramidNetwork(in_channels, channels, norm_layer=partial(nn.GroupNorm, groups))

    def forward(self, features: Features) -> Features:
        """C2..C5 to P2..P6."""
        return with_p6(list(self.fpn(features).values()))
