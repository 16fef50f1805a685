"""Compiled non-maximum suppression for the CPU. Importing this module loads numba."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True, error_model="numpy")
def suppress(corners: NDArray[np.float32], starts: NDArray[np.int64], threshold: np.float32) -> NDArray[np.bool_]:
    """Keep the best boxes of each group.

    As torchvision's operator, in its order of operations. That jumps through the boxes by their rank; here they lie
    side by side, so that a processor compares many at a time.

    Args:
        corners: (4, N), x1, y1, x2, y2 of the boxes, groups one after the other and each best first.
        starts: Where each group begins, and N.
        threshold: IoU above which a box is left out.

    Returns:
        Which boxes are kept, (N,).
    """
    x1, y1, x2, y2 = corners[0], corners[1], corners[2], corners[3]
    areas = (x2 - x1) * (y2 - y1)
    # As wide as the coordinates: a processor's vectors hold as many of both.
    out = np.zeros(corners.shape[1], np.int32)
    for group in range(len(starts) - 1):
        end = starts[group + 1]
        for i in range(starts[group], end):
            if not out[i]:
                rest = slice(i + 1, end)
                box = (x1[i], y1[i], x2[i], y2[i], areas[i])
                _leave_out(out[rest], x1[rest], y1[rest], x2[rest], y2[rest], areas[rest], box, threshold)
    kept: NDArray[np.bool_] = out == 0
    return kept


@njit(cache=True, nogil=True, error_model="numpy")
def _leave_out(
    out: NDArray[np.int32],
    x1: NDArray[np.float32],
    y1: NDArray[np.float32],
    x2: NDArray[np.float32],
    y2: NDArray[np.float32],
    areas: NDArray[np.float32],
    box: tuple[np.float32, ...],
    threshold: np.float32,
) -> None:
    """Set out to 1 where a box overlaps this one, without a branch, which would take the vectors away."""
    left, top, right, bottom, area = box
    nothing = np.float32(0)
    for j in range(len(out)):
        low = x1[j] if x1[j] > left else left
        high = x2[j] if x2[j] < right else right
        width = high - low if high > low else nothing
        low = y1[j] if y1[j] > top else top
        high = y2[j] if y2[j] < bottom else bottom
        height = high - low if high > low else nothing
        shared = width * height
        out[j] |= np.int32(1) if shared / (area + areas[j] - shared) > threshold else np.int32(0)
