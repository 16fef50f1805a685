"""BiFPN's weighted fusion in both directions (Tan et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from autopanoptic.nas import ElasticConv2d, Size
from autopanoptic.panoptic.model.neck.levels import LEVELS, convolution, resize, subsample, with_p6
from autopanoptic.panoptic.model.padding import blank
from autopanoptic.panoptic.model.shapes import Features


class WeightedSum(nn.Module):
    """Fast normalised fusion of n tensors (Tan et al. 2020, "EfficientDet", equation 3), then a separable conv."""

    def __init__(self, inputs: int, channels: Size, groups: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(inputs))
        self.mix = nn.Sequential(
            nn.ReLU(),
            ElasticConv2d(channels, channels, 3, padding=1, groups="depthwise", bias=False),
            convolution(channels, channels, groups, kernel=1),
        )

    def forward(self, *inputs: Tensor) -> Tensor:
        """Tensors of one shape (B, C, H, W) to one tensor of that shape."""
        positive = functional.relu(self.weight)
        share = positive / (positive.sum() + 1e-4)
        fused = sum((s * x for s, x in zip(share, inputs, strict=True)), start=torch.zeros_like(inputs[0]))
        # Resizing has put values of coarser cells that lie half in the image into the padding.
        out: Tensor = self.mix(blank(fused))
        return out


class BiFPN(nn.Module):
    """One bidirectional layer with a learned weight for every input of a level (Tan et al. 2020, section 3)."""

    def __init__(self, in_channels: list[Size], channels: Size, groups: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(convolution(width, channels, groups, kernel=1) for width in in_channels)
        between = len(LEVELS) - 2
        self.top_down = nn.ModuleList(WeightedSum(2, channels, groups) for _ in range(between))
        self.bottom_up = nn.ModuleList(WeightedSum(3, channels, groups) for _ in range(between))
        self.ends = nn.ModuleList(WeightedSum(2, channels, groups) for _ in range(2))

    def forward(self, features: Features) -> Features:
        """C2..C5 to P2..P6."""
        laterals = [layer(x) for layer, x in zip(self.lateral, features.values(), strict=True)]
        laterals = list(with_p6(laterals).values())
        middle = [laterals[-1]]
        for lateral, fuse in zip(laterals[-2:0:-1], self.top_down, strict=True):
            middle.insert(0, fuse(lateral, resize(middle[0], lateral)))
        levels = [self.ends[0](laterals[0], resize(middle[0], laterals[0]))]
        for lateral, inner, fuse in zip(laterals[1:-1], middle, self.bottom_up, strict=False):
            levels.append(fuse(lateral, inner, subsample(levels[-1])))
        levels.append(self.ends[1](laterals[-1], subsample(levels[-1])))
        return dict(zip(LEVELS, levels, strict=True))
