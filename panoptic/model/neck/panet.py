"""PANet's pyramid with a bottom-up path (Liu et al. 2018)."""

from __future__ import annotations

from torch import nn
from torch.nn import functional

from autopanoptic.nas import Size
from autopanoptic.panoptic.model.neck.fpn import TopDown
from autopanoptic.panoptic.model.neck.levels import convolution, with_p6
from autopanoptic.panoptic.model.shapes import Features


class PANet(nn.Module):
    """FPN followed by a bottom-up path (Liu et al. 2018, "Path aggregation network", section 3.1).

    N2 = P2, and N(l+1) = conv(P(l+1) + ReLU(strided conv(N(l)))).
    """

    def __init__(self, in_channels: list[Size], channels: Size, groups: int) -> None:
        super().__init__()
        self.fpn = TopDown(in_channels, channels, groups)
        rising = in_channels[1:]
        self.down = nn.ModuleList(convolution(channels, channels, groups, stride=2) for _ in rising)
        self.out = nn.ModuleList(convolution(channels, channels, groups) for _ in rising)

    def forward(self, features: Features) -> Features:
        """C2..C5 to P2..P6."""
        top_down = self.fpn(list(features.values()))
        levels = [top_down[0]]
        for level, down, out in zip(top_down[1:], self.down, self.out, strict=True):
            levels.append(out(level + functional.relu(down(levels[-1]))))
        return with_p6(levels)
