"""The annotation of an image as networks learn it: one map of its segments, and what each of them is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autopanoptic.panoptic.data.categories import THING, VOID, Categories
from autopanoptic.panoptic.data.segments import Segment


@dataclass(frozen=True, eq=False)
class LabelMap:
    """The n segments of an image of H x W pixels, N of them things that are no crowds.

    A map of one byte a pixel holds what N masks and a semantic map say, which are made from it where they are needed.

    Attributes:
        numbers: (H, W) each pixel's segment, 1..n, 0 for void; uint8, or int32 where n is above 255.
        semantic_labels: (n + 1,) uint8, by number: stuff labels 1..S, 0 for any thing (crowds too), 255 for void.
        things: (N,) int64, numbers of the things.
        labels: (N,) int64, their classes in 1..T.
        boxes: (N, 4) float32, x1, y1, x2, y2 in pixels; x2 and y2 are exclusive ends.
    """

    numbers: Tensor
    semantic_labels: Tensor
    things: Tensor
    labels: Tensor
    boxes: Tensor

    @classmethod
    def of(cls, numbers: NDArray[Any], segments: Sequence[Segment], categories: Categories) -> LabelMap:
        """Make the label map of a map of segments' places.

        Args:
            numbers: (H, W) k + 1 for the pixels of segment k, 0 for void; uint8 or int32.
            segments: All of which have pixels.
            categories: They give the labels.
        """
        rows = [k for k, s in enumerate(segments) if categories[s.category_id].isthing and not s.iscrowd]
        labels = [categories.thing_label[segments[k].category_id] for k in rows]
        semantic = [categories.stuff_label.get(segment.category_id, THING) for segment in segments]
        boxes = extents_of(numbers, len(segments))[np.array(rows, dtype=np.int64)]
        return cls(
            numbers=torch.from_numpy(numbers),
            semantic_labels=torch.tensor([VOID, *semantic], dtype=torch.uint8),
            things=torch.tensor(rows, dtype=torch.int64) + 1,
            labels=torch.tensor(labels, dtype=torch.int64),
            boxes=torch.from_numpy(boxes.astype(np.float32)),
        )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.numbers.shape
        return int(height), int(width)

    @property
    def masks(self) -> Tensor:
        """The visible pixels of each thing, (N, H, W) bool; made anew, at N bytes a pixel."""
        return self.numbers == self.things[:, None, None].to(self.numbers.dtype)

    @property
    def semantic(self) -> Tensor:
        """(H, W) uint8: stuff labels 1..S, 0 for any thing, 255 for void; made anew."""
        return self.semantic_labels[self.numbers.long()]


def number_type(count: int) -> type[np.integer[Any]]:
    """Return the type of a map of so many segments."""
    return np.uint8 if count <= np.iinfo(np.uint8).max else np.int32


def extents_of(numbers: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Return the tight boxes (count, 4) of a map's segments; see `autopanoptic.panoptic.data.extents`."""
    from autopanoptic.panoptic.data.extents import extents

    found: NDArray[np.int64] = extents(numbers, count)
    return found
