"""What a part of the network gives: each part declares it, the next part reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from autopanoptic.nas import Size

Features = dict[str, Tensor]
"""Feature maps by level name ("c2".."c5" from a backbone, "p2".."p6" from a neck), each (B, C, H, W)."""


Sizes = Sequence[tuple[int, int]]
"""Height and width in pixels of each image of a batch."""


@dataclass(frozen=True)
class FeatureShape:
    """A feature map's channels, a number or a choice, and its stride in pixels of the input image."""

    channels: Size
    stride: int
