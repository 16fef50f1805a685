"""What the network says about an image, at the image's original size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torchvision.models.detection.roi_heads import expand_boxes, expand_masks

from autopanoptic.panoptic.data.transfers import on_device
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.heads.roi import Detections
from autopanoptic.panoptic.model.precision import in_full_precision

if TYPE_CHECKING:
    from autopanoptic.panoptic.model.panoptic_head.scores import PanopticScores

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
        panoptic: What a panoptic head of the network's own makes a map of; None where things and semantics are merged.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    masks: Tensor
    semantic: Tensor
    panoptic: PanopticScores | None = None


def things_at(
    found: Detections, size: tuple[int, int], original_size: tuple[int, int], config: PanopticConfig
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Boxes, scores, labels and masks of one image's things at its original size.

    Args:
        found: In pixels of the resized image.
        size: The resized image's height and width without padding.
        original_size: The original image's.
        config: Of the network.
    """
    (height, width), (original_height, original_width) = size, original_size
    scale = (original_width / width, original_height / height) * 2
    boxes = found.boxes * on_device(scale, found.boxes.device, found.boxes.dtype)
    masks = paste_masks(found.masks, boxes, original_size, config.mask_threshold, aligned=config.mask_aligned)
    return boxes, found.scores, found.labels, masks


def paste_masks(
    probabilities: Tensor, boxes: Tensor, size: tuple[int, int], threshold: float, *, aligned: bool
) -> Tensor:
    """Resize each mask into its box and cut it at a threshold.

    A few masks at a time, since the probabilities at full size take four times the memory of the result. The host does
    not wait for the device.

    Args:
        probabilities: (N, M, M), 0 to 1.
        boxes: (N, 4), x1, y1, x2, y2 in pixels of the map.
        size: Height and width of the map.
        threshold: Probability above which a pixel belongs to the mask.
        aligned: Whether to sample the mask at each pixel's centre, with 0 around it; else boxes are cut to whole
            pixels first, as in the published code.

    Returns:
        bool (N, height, width).
    """
    masks = torch.zeros((len(boxes), *size), dtype=torch.bool, device=boxes.device)
    for start in range(0, len(boxes), PASTE_CHUNK):
        part = slice(start, start + PASTE_CHUNK)
        weights = _weights_at_centres if aligned else _weights_of_whole_pixels
        padded, placed = (probabilities[part], boxes[part]) if aligned else _expanded(probabilities[part], boxes[part])
        x1, y1, x2, y2 = placed.unbind(1)
        cells = padded.shape[-1]
        rows, columns = weights(size[0], y1, y2, cells), weights(size[1], x1, x2, cells)
        # Under autocast the products would have 8 bits, with which masks are others.
        with in_full_precision(boxes.device):
            masks[part] = rows @ padded.to(rows.dtype) @ columns.transpose(1, 2) > threshold
    return masks


def _expanded(probabilities: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Masks with a cell of zeros around them, and their boxes in whole pixels, the last ones inclusive."""
    padded, scale = expand_masks(probabilities, 1)
    return padded, expand_boxes(boxes, scale).to(torch.int64)


# Bilinear interpolation: its weights are a product of one for rows and one for columns.
def _weights_at_centres(pixels: int, start: Tensor, end: Tensor, cells: int) -> Tensor:
    """How much each cell between start and end counts at the centre of each pixel: (N, pixels, cells)."""
    centres = torch.arange(pixels, device=start.device) + 0.5
    # A box without extent covers no pixel's centre.
    extent = (end - start).clamp(min=torch.finfo(start.dtype).eps)
    place = (centres - start[:, None]) / extent[:, None] * cells - 0.5
    return hats(place, cells)


def _weights_of_whole_pixels(pixels: int, first: Tensor, last: Tensor, cells: int) -> Tensor:
    """How much each cell counts at each pixel from the first to the last, as where the cells are resized to them."""
    pixel = torch.arange(pixels, device=first.device)
    extent = (last - first + 1).clamp(min=1)
    place = (pixel - first[:, None] + 0.5) * (cells / extent)[:, None] - 0.5
    inside = (pixel >= first[:, None]) & (pixel < (first + extent)[:, None])
    return hats(place.clamp(0, cells - 1), cells) * inside[:, :, None]


def hats(place: Tensor, cells: int) -> Tensor:
    """How much each of some cells counts at each place: (N, places) in cells to (N, places, cells)."""
    return (1 - (place[:, :, None] - torch.arange(cells, device=place.device)).abs()).clamp(min=0)
