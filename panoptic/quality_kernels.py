"""Compiled parts of panoptic quality: counting pixels of id pairs, and matching segments.

Importing this module loads numba. The kernels are compiled on their first call, for the widths of the
ids at hand, and cached on disk.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def count_pairs(
    truth: NDArray[np.unsignedinteger[Any]],
    prediction: NDArray[np.unsignedinteger[Any]],
    truth_ids: NDArray[np.int64],
    prediction_ids: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Counts the pixels of every pair of a truth's and a prediction's segment.

    Most pixels equal their left neighbor in both maps, so whole runs are counted at once.

    Args:
        truth: (P,) ids.
        prediction: (P,) ids.
        truth_ids: (T,) ids, each once.
        prediction_ids: (S,) ids, each once.

    Returns:
        (T + 1, S + 1): row t counts pixels of truth_ids[t], the last row those of other ids; so do columns.
    """
    truth_keys, truth_rows = _hash_table(truth_ids)
    prediction_keys, prediction_columns = _hash_table(prediction_ids)
    counts = np.zeros((len(truth_ids) + 1, len(prediction_ids) + 1), np.int64)
    if truth.size == 0:
        return counts
    start, of_truth, of_prediction = 0, truth[0], prediction[0]
    row = _find(truth_keys, truth_rows, np.int64(of_truth), len(truth_ids))
    column = _find(prediction_keys, prediction_columns, np.int64(of_prediction), len(prediction_ids))
    while True:
        end = _end_of_run(truth, prediction, of_truth, of_prediction, start + 1)
        counts[row, column] += end - start
        if end == truth.size:
            return counts
        start = end
        if truth[start] != of_truth:
            of_truth = truth[start]
            row = _find(truth_keys, truth_rows, np.int64(of_truth), len(truth_ids))
        if prediction[start] != of_prediction:
            of_prediction = prediction[start]
            column = _find(prediction_keys, prediction_columns, np.int64(of_prediction), len(prediction_ids))


@njit(cache=True, nogil=True)
def _end_of_run(
    truth: NDArray[np.unsignedinteger[Any]],
    prediction: NDArray[np.unsignedinteger[Any]],
    of_truth: int,
    of_prediction: int,
    end: int,
) -> int:
    """The first position from end on where either map has another id.

    Constant widths, and slices instead of indices, let the compiler use vector instructions.
    """
    while end + 64 <= truth.size:
        next_truth, next_prediction = truth[end : end + 64], prediction[end : end + 64]
        differ = False
        for i in range(64):
            differ |= (next_truth[i] != of_truth) | (next_prediction[i] != of_prediction)
        if differ:
            break
        end += 64
    while end + 8 <= truth.size:
        next_truth, next_prediction = truth[end : end + 8], prediction[end : end + 8]
        differ = False
        for i in range(8):
            differ |= (next_truth[i] != of_truth) | (next_prediction[i] != of_prediction)
        if differ:
            break
        end += 8
    while end < truth.size and truth[end] == of_truth and prediction[end] == of_prediction:
        end += 1
    return end


@njit(cache=True, nogil=True)
def _hash_table(ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Open addressing with linear probing, at most half full; a value of -1 is a free slot."""
    size = 4
    while size < 2 * len(ids):
        size *= 2
    keys, values = np.zeros(size, np.int64), np.full(size, -1, np.int64)
    for value in range(len(ids)):
        slot = _slot(ids[value], size)
        while values[slot] >= 0:
            slot = (slot + 1) & (size - 1)
        keys[slot], values[slot] = ids[value], value
    return keys, values


@njit(cache=True, nogil=True)
def _find(keys: NDArray[np.int64], values: NDArray[np.int64], key: np.int64, default: int) -> int:
    slot = _slot(key, keys.size)
    while values[slot] >= 0:
        if keys[slot] == key:
            return int(values[slot])
        slot = (slot + 1) & (keys.size - 1)
    return default


@njit(cache=True, nogil=True)
def _slot(key: np.int64, size: int) -> int:
    # Fibonacci hashing: the multiplier is 2**32 over the golden ratio, and the upper bits are the mixed ones.
    return int((key * 2654435769) >> 16) & (size - 1)


@njit(cache=True, nogil=True, error_model="numpy")
def match(
    counts: NDArray[np.int64],
    truth_areas: NDArray[np.float64],
    truth_crowds: NDArray[np.bool_],
    truth_categories: NDArray[np.int64],
    prediction_categories: NDArray[np.int64],
    iou: NDArray[np.float64],
    hits: NDArray[np.int64],
) -> None:
    """Matches one image's segments and adds what was found to the totals.

    The rules are those of panopticapi's evaluation.py, also where a truth's areas are wrong: the union
    may then be 0, which gives an infinite IoU.

    Args:
        counts: (T + 1, S + 1) or larger; row 0 and column 0 are void, then come the segments.
        truth_areas: (T,) pixels, as the truth states them.
        truth_crowds: (T,)
        truth_categories: (T,) indices below C; -1 for a category that is not evaluated.
        prediction_categories: (S,) indices below C.
        iou: (C,) sums of the IoU of true positives, added to.
        hits: (C, 3) true positives, false positives, false negatives, added to.
    """
    truths, predictions = len(truth_areas), len(prediction_categories)
    areas = np.zeros(counts.shape[1], np.int64)
    for row in counts:
        areas += row
    truth_matched, prediction_matched = np.zeros(truths, np.bool_), np.zeros(predictions, np.bool_)
    for t in range(truths):
        if truth_crowds[t]:
            continue
        for s in range(predictions):
            category, common = truth_categories[t], counts[t + 1, s + 1]
            if common == 0 or category != prediction_categories[s]:
                continue
            overlap = common / (areas[s + 1] + truth_areas[t] - common - counts[0, s + 1])
            if overlap > 0.5:
                iou[category] += overlap
                hits[category, 0] += 1
                truth_matched[t] = prediction_matched[s] = True
    crowd_rows = np.full(len(iou), -1, np.int64)
    for t in range(truths):
        category = truth_categories[t]
        if category < 0:
            continue
        if truth_crowds[t]:
            crowd_rows[category] = t + 1
        elif not truth_matched[t]:
            hits[category, 2] += 1
    for s in range(predictions):
        if prediction_matched[s]:
            continue
        category = prediction_categories[s]
        ignored = counts[0, s + 1]
        if crowd_rows[category] >= 0:
            ignored += counts[crowd_rows[category], s + 1]
        if ignored / areas[s + 1] <= 0.5:
            hits[category, 1] += 1
