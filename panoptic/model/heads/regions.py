"""The regions of interest that a training samples, and what a network says of them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Regions:
    """Sampled RoIs, a tensor for each image.

    Attributes:
        boxes: float32 (N, 4), x1, y1, x2, y2 in pixels of the resized image.
        things: Index of the image's thing that each overlaps most, int64 (N,).
        labels: int64 (N,), 1..T, 0 for background.
        deltas: Encoded boxes of the things, to predict, float32 (N, 4).
        positive: Places of the RoIs that are no background, int64 (P,), ascending.
    """

    boxes: list[Tensor]
    things: list[Tensor]
    labels: list[Tensor]
    deltas: list[Tensor]
    positive: list[Tensor]


@dataclass(frozen=True)
class RegionLogits:
    """Logits at RoIs, those of all images after each other.

    Attributes:
        classes: float32 (N, 1 + T).
        masks: Of the true class of each positive RoI, float32 (P, M, M).
    """

    classes: Tensor
    masks: Tensor
