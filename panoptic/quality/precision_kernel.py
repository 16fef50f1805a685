"""Compiled average precision of many draws of images. Importing this module loads numba."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def average_precisions(
    drawn: NDArray[np.float64],
    images: NDArray[np.int64],
    hits: NDArray[np.int8],
    truths: NDArray[np.float64],
    recalls: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Average precision of one category at each of T thresholds of IoU, as COCOeval accumulates it.

    An image that is drawn twice counts its detections twice: both copies stand at one place of the ranking, and
    the precision after the second is at least that after the first where they are right, so that one step by the
    weight gives the same precision at every recall as two steps.

    Args:
        drawn: (R, N) how often each image was drawn.
        images: (D,) the image of each detection, by descending score.
        hits: (T, D) 1 for a true positive, -1 for a false one, 0 for one that does not count.
        truths: (N,) things of the truth on each image, crowds left out.
        recalls: (Q,) ascending, at which the precision is read.

    Returns:
        (R, T), 0 to 1; NaN where no thing was drawn.
    """
    thresholds, count = hits.shape
    found = np.empty((len(drawn), thresholds))
    recall, precision = np.empty(count), np.empty(count)
    for r in range(len(drawn)):
        positives = 0.0
        for i in range(len(truths)):
            positives += drawn[r, i] * truths[i]
        for t in range(thresholds):
            if positives == 0:
                found[r, t] = np.nan
                continue
            right, wrong = 0.0, 0.0
            for d in range(count):
                weight = drawn[r, images[d]]
                if hits[t, d] > 0:
                    right += weight
                elif hits[t, d] < 0:
                    wrong += weight
                recall[d] = right / positives
                precision[d] = right / (right + wrong + 2.220446049250313e-16)
            for d in range(count - 2, -1, -1):
                precision[d] = max(precision[d], precision[d + 1])
            place, total = 0, 0.0
            for q in range(len(recalls)):
                while place < count and recall[place] < recalls[q]:
                    place += 1
                if place < count:
                    total += precision[place]
            found[r, t] = total / len(recalls)
    return found
