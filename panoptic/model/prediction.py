"""What the network says about an image, at the image's original size."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.models.detection.roi_heads import paste_masks_in_image

PASTE_CHUNK = 8


@dataclass(frozen=True)
class Prediction:
    """The things and the semantic map of one image of size (H, W), before they are merged.

    Attributes:
        boxes: float32 (N, 4), x1, y1, x2, y2 in pixels.
        scores: float32 (N,), 0 to 1, in descending order.
        labels: int64 (N,), 1..T.
        masks: bool (N, H, W).
        semantic: int64 (H, W), 0 for any thing, 1..S for stuff.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    masks: Tensor
    semantic: Tensor


def paste_masks(probabilities: Tensor, boxes: Tensor, size: tuple[int, int], threshold: float) -> Tensor:
    """Resize each mask into its box and cut it at a threshold.

    A few masks at a time, since the probabilities at full size take four times the memory of the result.

    Args:
        probabilities: (N, M, M), 0 to 1.
        boxes: (N, 4), x1, y1, x2, y2 in pixels of the map.
        size: Height and width of the map.
        threshold: Probability above which a pixel belongs to the mask.

    Returns:
        bool (N, height, width).
    """
    masks = torch.zeros((len(boxes), *size), dtype=torch.bool, device=boxes.device)
    for start in range(0, len(boxes), PASTE_CHUNK):
        part = slice(start, start + PASTE_CHUNK)
        masks[part] = paste_masks_in_image(probabilities[part, None], boxes[part], size)[:, 0] > threshold
    return masks
