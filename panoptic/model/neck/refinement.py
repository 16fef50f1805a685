"""Further layers of a pyramid, for spaces in which its depth is a choice."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from autopanoptic.nas import ElasticConv2d, Size
from autopanoptic.panoptic.model.neck.levels import LEVELS, convolution, with_p6
from autopanoptic.panoptic.model.shapes import Features


class Refinement(nn.Module):
    """A residual layer on each of P2..P5: ReLU, a depthwise 3x3 and a 1x1 convolution, group norm; then P6 anew.

    Args:
        channels: Of every level.
        groups: Of the norms.
    """

    def __init__(self, channels: Size, groups: int) -> None:
        super().__init__()
        self.levels = nn.ModuleDict({level: _separable(channels, groups) for level in LEVELS[:-1]})

    def forward(self, pyramid: Features) -> Features:
        """P2..P6 to P2..P6."""
        return with_p6([pyramid[level] + self._refined(level, pyramid[level]) for level in self.levels])

    def _refined(self, level: str, x: Tensor) -> Tensor:
        refined: Tensor = self.levels[level](functional.relu(x))
        return refined


def _separable(channels: Size, groups: int) -> nn.Sequential:
    depthwise = ElasticConv2d(channels, channels, 3, padding=1, groups="depthwise", bias=False)
    return nn.Sequential(depthwise, convolution(channels, channels, groups, kernel=1))
