"""Compiled search for the extent of every segment of a map. Importing this module loads numba."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def extents(numbers: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Finds the tight boxes of all segments in one pass over the rows' runs.

    Args:
        numbers: (H, W) integers in 0..count, 0 for void.
        count: Number of segments.

    Returns:
        (count, 4) x1, y1, and the exclusive ends x2, y2, of the segments 1..count; x2 and y2 are 0 for a segment
        without pixels.
    """
    height, width = numbers.shape
    found = np.zeros((count, 4), np.int64)
    found[:, 0], found[:, 1] = width, height
    for y in range(height):
        start = 0
        while start < width:
            number = numbers[y, start]
            end = start + 1
            while end < width and numbers[y, end] == number:
                end += 1
            if number > 0:
                box = found[number - 1]
                box[0] = min(box[0], start)
                box[1] = min(box[1], y)
                box[2] = max(box[2], end)
                box[3] = y + 1
            start = end
    return found
