"""Where the pixels of an image go: resizing, a crop and a flip, for the image and for its segments alike."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from autopanoptic.panoptic.data.label_map import LabelMap, extents_of

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True)
class Placement:
    """An image is resized, then a part of it is kept, which may then be mirrored.

    Attributes:
        original: Its size.
        scaled: The size that it is resized to.
        corner: Row and column in the resized image at which the kept part begins.
        kept: The size of that.
        flips: Whether left and right are exchanged.
    """

    original: Size
    scaled: Size
    corner: Size
    kept: Size
    flips: bool

    def image(self, image: Tensor) -> Tensor:
        """Places an image, (3, H, W) uint8, by bilinear interpolation with a filter where it shrinks."""
        (top, left), (height, width) = self.corner, self.kept
        if self.scaled != self.original:
            image = _resized(image, self.scaled)
        image = image[:, top : top + height, left : left + width]
        return image.flip(2) if self.flips else image

    def label_map(self, truth: LabelMap) -> LabelMap:
        """Places segments by taking the pixel under each new pixel's centre; things without any pixel are left out."""
        numbers = self._numbers(truth.numbers.numpy())
        extents = extents_of(numbers, len(truth.semantic_labels) - 1)[truth.things.numpy() - 1]
        seen = torch.from_numpy(extents[:, 2] > 0)
        if self.kept == self.scaled:
            boxes = self._boxes(truth.boxes)[seen]
        else:
            # Of what is left of a thing, which may be less than what the crop leaves of its box.
            boxes = torch.from_numpy(extents.astype(np.float32))[seen]
        return replace(
            truth, numbers=torch.from_numpy(numbers), things=truth.things[seen], labels=truth.labels[seen], boxes=boxes
        )

    def _numbers(self, numbers: NDArray[np.generic]) -> NDArray[np.generic]:
        each = zip(self.scaled, self.original, self.corner, self.kept, strict=True)
        rows, columns = (_nearest(new, old)[start : start + count] for new, old, start, count in each)
        # Columns first: rows are copied whole, so that the costly half is done on the fewer pixels of small images.
        return numbers.take(columns[::-1] if self.flips else columns, axis=1).take(rows, axis=0)

    def _boxes(self, boxes: Tensor) -> Tensor:
        (height, width), (new_height, new_width) = self.original, self.scaled
        if self.scaled != self.original:
            boxes = boxes * boxes.new_tensor([new_width / width, new_height / height] * 2)
        if not self.flips:
            return boxes
        x1, y1, x2, y2 = boxes.unbind(1)
        return torch.stack([new_width - x2, y1, new_width - x1, y2], dim=1)


def _resized(image: Tensor, size: Size) -> Tensor:
    # torch's fast kernel for uint8 fails on images that are one pixel wide or high.
    is_thin = 1 in (*image.shape[1:], *size)
    pixels = image.float() if is_thin else image
    found: Tensor = functional.resize(pixels, list(size), InterpolationMode.BILINEAR, antialias=True)
    return found.round().clamp(0, 255).to(torch.uint8) if is_thin else found


def _nearest(new: int, old: int) -> NDArray[np.int64]:
    """Which of the old pixels of an axis lies under the centre of each new one."""
    centres = (torch.arange(new) + 0.5) * (old / new)
    found: NDArray[np.int64] = centres.long().clamp(max=old - 1).numpy()
    return found
