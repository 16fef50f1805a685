"""The truth of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from autopanoptic.panoptic.data.loading.batch import Target
from autopanoptic.panoptic.model.shapes import Sizes


@dataclass(frozen=True)
class Truth:
    """What a batch's images show.

    Attributes:
        sizes: Height and width of each image without padding.
        targets: The things of each image.
        semantic: Labels 0 (any thing) and 1..S, 255 for void and padding, integers (B, H, W).
    """

    sizes: Sizes
    targets: Sequence[Target]
    semantic: Tensor
