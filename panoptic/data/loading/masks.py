"""Masks of things as values of one map, cut out where they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from autopanoptic.panoptic.data.loading.placement import Size

MARGIN = 2
"""Pixels around a box that its window holds besides: masks end with their boxes, and so a window with zeros."""
STEP = 256
"""Windows begin at multiples of it, so that in images up to this size nothing is shifted, which would round anew."""
AT_ONCE = 2**26
"""Cells of windows that are made at once, 256 MB."""


@dataclass(frozen=True, eq=False)
class ThingMasks:
    """The masks of the N things of an image of h x w pixels, made some at a time, in windows as large as the largest.

    Attributes:
        numbers: (h, w) each pixel's segment, integers.
        things: (N,) int64, numbers of the things.
        boxes: (N, 4) around their pixels, x1, y1, x2, y2.
        window: Height and width that hold the box of any of the things; see `window_of`.
    """

    numbers: Tensor
    things: Tensor
    boxes: Tensor
    window: Size

    def __len__(self) -> int:
        return len(self.things)

    def whole(self) -> Tensor:
        """All masks at full size, (N, h, w) bool."""
        return self.numbers == self.things[:, None, None].to(self.numbers.dtype)

    def windows(self) -> Iterator[Window]:
        """The masks around their boxes, some things at a time; nothing here waits for a GPU."""
        height, width = self.window
        count = max(1, AT_ONCE // (height * width))
        for first in range(0, len(self), count):
            part = slice(first, first + count)
            rows = self._starts(part, 1, height)
            columns = self._starts(part, 0, width)
            corners = torch.stack((columns, rows), dim=1)
            yield Window(first, self._masks(part, rows, columns), corners)

    def _starts(self, part: slice, axis: int, extent: int) -> Tensor:
        """(n,) the first row (axis 1) or column (axis 0) of each window."""
        starts = ((self.boxes[part, axis] - MARGIN) / STEP).floor().long() * STEP
        return starts.clamp(min=0, max=self.numbers.shape[1 - axis] - extent)

    def _masks(self, part: slice, rows: Tensor, columns: Tensor) -> Tensor:
        if self.window == tuple(self.numbers.shape):
            return self.numbers == self.things[part, None, None].to(self.numbers.dtype)
        height, width = (torch.arange(extent, device=rows.device) for extent in self.window)
        read = self.numbers[(rows[:, None] + height)[:, :, None], (columns[:, None] + width)[:, None, :]]
        return read == self.things[part, None, None].to(read.dtype)


@dataclass(frozen=True, eq=False)
class Window:
    """The masks of n things of an image, each in a window of its own, all of one size.

    Attributes:
        first: Index of the first of them.
        masks: (n, window height, window width) bool.
        corners: (n, 2) int64, x and y of each window's first pixel in the image.
    """

    first: int
    masks: Tensor
    corners: Tensor


def window_of(boxes: Tensor, size: Size) -> Size:
    """Return the height and width that a window needs to hold any of some boxes, (N, 4), of an image of a size."""
    if not len(boxes):
        return 1, 1
    low, high = boxes[:, :2] - MARGIN, boxes[:, 2:] + MARGIN
    starts = ((low / STEP).floor() * STEP).clamp(min=0)
    width, height = (high.ceil() - starts).amax(dim=0).long().tolist()
    return min(height, size[0]), min(width, size[1])
