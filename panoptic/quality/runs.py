"""Compiled search for runs: neighbouring pixels that change in neither of two maps.

Segments are large, so that most pixels equal their left neighbour in both maps, and whole runs can be looked up
and counted at once. Importing this module loads numba.
"""

from __future__ import annotations

import sys
from typing import Any, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ids: TypeAlias = NDArray[np.unsignedinteger[Any]]

_LITTLE_ENDIAN = sys.byteorder == "little"
_PIXEL, _REST = np.uint64(8), np.uint64(56)


@njit(cache=True, nogil=True)
def limits_of_runs(truth: Ids, prediction: Ids) -> NDArray[np.int64]:
    """Where runs of equal pixels begin, and the number of pixels as the last limit.

    Args:
        truth: (P,) ids.
        prediction: (P,) ids of the same type.

    Returns:
        (R + 1,), from 0 to P; of no pixels (1,).
    """
    limits = np.empty(truth.size + 1, np.int64)
    limits[0] = 0
    if truth.size == 0:
        return limits
    if truth.itemsize == 1 and _LITTLE_ENDIAN:
        found, start = _in_words(truth, prediction, limits)
    else:
        found, start = _in_blocks(truth, prediction, limits)
    for end in range(start, truth.size):
        limits[found] = end
        found += int((truth[end] != truth[end - 1]) | (prediction[end] != prediction[end - 1]))
    limits[found] = truth.size
    return limits[: found + 1]


@njit(cache=True, nogil=True)
def _in_words(truth: Ids, prediction: Ids, limits: NDArray[np.int64]) -> tuple[int, int]:
    """Finds the limits of byte maps in words of 8 pixels; returns how many, and the first pixel not looked at.

    No branch depends on the pixels, as it could not be predicted: first the words that hold a limit are
    gathered, then the limits in them.
    """
    words = truth.size // 8
    truths, predictions = truth[: 8 * words].view(np.uint64), prediction[: 8 * words].view(np.uint64)
    starts, changes = np.empty(words + 1, np.int64), np.empty(words + 1, np.uint64)
    found = 0
    # The first pixel has no left neighbour: it is compared with itself.
    left_truth = truths[0] << _REST if words else np.uint64(0)
    left_prediction = predictions[0] << _REST if words else np.uint64(0)
    for word in range(words):
        own_truth, own_prediction = truths[word], predictions[word]
        change = own_truth ^ (own_truth << _PIXEL | left_truth >> _REST)
        change |= own_prediction ^ (own_prediction << _PIXEL | left_prediction >> _REST)
        starts[np.uint64(found)], changes[np.uint64(found)] = 8 * word, change
        found += int(change != 0)
        left_truth, left_prediction = own_truth, own_prediction
    limit = 1
    for place in range(found):
        start, change = starts[place], changes[place]
        for i in range(8):
            limits[np.uint64(limit)] = start + i
            limit += int((change >> np.uint64(8 * i)) & np.uint64(255) != 0)
    return limit, max(8 * words, 1)


@njit(cache=True, nogil=True)
def _in_blocks(truth: Ids, prediction: Ids, limits: NDArray[np.int64]) -> tuple[int, int]:
    """As `_in_words` for ids of any width.

    Blocks of one run are skipped, by vector instructions: for them the width is constant, and the
    operands are slices. In other blocks no branch depends on the pixels.
    """
    found, start = 1, 1
    while start + 64 <= truth.size:
        own_truth, own_prediction = truth[start : start + 64], prediction[start : start + 64]
        left_truth, left_prediction = truth[start - 1 : start + 63], prediction[start - 1 : start + 63]
        differ = False
        for i in range(64):
            differ |= (own_truth[i] != left_truth[i]) | (own_prediction[i] != left_prediction[i])
        if differ:
            for i in range(64):
                limits[np.uint64(found)] = start + i
                found += int((own_truth[i] != left_truth[i]) | (own_prediction[i] != left_prediction[i]))
        start += 64
    return found, start
