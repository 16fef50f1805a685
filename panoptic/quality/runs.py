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
_PIXEL, _SEVEN, _REST = np.uint64(8), np.uint64(7), np.uint64(56)
_FIRST, _LOWER, _GATHER = np.uint64(255), np.uint64(0x7F7F7F7F7F7F7F7F), np.uint64(0x0102040810204080)
_SET = [[bit for bit in range(8) if byte >> bit & 1] for byte in range(256)]
_COUNTS = np.array([len(bits) for bits in _SET], np.int64)
_PLACES = np.array([bits + [0] * (8 - len(bits)) for bits in _SET], np.int64)
"""The bits that are set in every byte, the lowest first."""


@njit(cache=True, nogil=True)
def limits_of_runs(truth: Ids, prediction: Ids) -> NDArray[np.int64]:
    """Where runs of equal pixels begin, and the number of pixels as the last limit.

    Args:
        truth: (P,) ids.
        prediction: (P,) ids of the same type.

    Returns:
        (R + 1,), from 0 to P; of no pixels (1,).
    """
    # Limits are written eight at a time, and those that are too many are overwritten.
    limits = np.empty(truth.size + 8, np.int64)
    limits[0] = 0
    if truth.size == 0:
        return limits[:1]
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
    if words == 0:
        return 1, 1
    changes = _changes(truth[: 8 * words].view(np.uint64), prediction[: 8 * words].view(np.uint64))
    changed, found = np.empty(words, np.int32), 0
    for word in range(words):
        changed[np.uint64(found)] = word
        found += int(changes[word] != 0)
    limit = 1
    for place in range(found):
        word = int(changed[place])
        # The upper bit of every byte that is not 0; these bits as one byte; where they are set, eight at a time.
        change = changes[np.uint64(word)]
        upper = (((change & _LOWER) + _LOWER) | change) & ~_LOWER
        byte = ((upper >> _SEVEN) * _GATHER) >> _REST
        for i in range(np.uint64(8)):
            limits[np.uint64(limit) + i] = 8 * word + _PLACES[byte, i]
        limit += _COUNTS[byte]
    return limit, 8 * words


@njit(cache=True, nogil=True)
def _changes(truth: NDArray[np.uint64], prediction: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Words whose bytes are not 0 where a pixel differs from its left neighbour in one of the maps."""
    changes = np.empty(truth.size, np.uint64)
    # The first pixel has no left neighbour: it is compared with itself.
    changes[0] = truth[0] ^ (truth[0] << _PIXEL | truth[0] & _FIRST)
    changes[0] |= prediction[0] ^ (prediction[0] << _PIXEL | prediction[0] & _FIRST)
    # Vector instructions, as the indices are unsigned and every word is read from memory.
    for place in range(1, truth.size):
        word, left = np.uint64(place), np.uint64(place) - np.uint64(1)
        change = truth[word] ^ (truth[word] << _PIXEL | truth[left] >> _REST)
        changes[word] = change | (prediction[word] ^ (prediction[word] << _PIXEL | prediction[left] >> _REST))
    return changes


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
