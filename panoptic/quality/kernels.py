"""Compiled parts of panoptic quality: counting pixels of id pairs, and matching segments.

Importing this module loads numba. The kernels are compiled on their first call, for the widths of the
ids at hand, and cached on disk.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Keys and positions by slot; multiplier and shift, which give the slot of a key; the number of keys.
_Table: TypeAlias = tuple[NDArray[np.uint64], NDArray[np.uint64], np.uint64, np.uint64, np.uint64]


@njit(cache=True, nogil=True)
def count_pairs(
    truth: NDArray[np.unsignedinteger[Any]],
    prediction: NDArray[np.unsignedinteger[Any]],
    truth_ids: NDArray[np.int64],
    prediction_ids: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Counts the pixels of every pair of a truth's and a prediction's segment.

    Most pixels equal their left neighbor in both maps, so whole runs are looked up and counted at once.

    Args:
        truth: (P,) ids.
        prediction: (P,) ids.
        truth_ids: (T,) ids, each once, at least 0.
        prediction_ids: (S,) ids, each once, at least 0.

    Returns:
        (T + 1, S + 1): row t counts pixels of truth_ids[t], the last row those of other ids; so do columns.
    """
    counts = np.zeros((len(truth_ids) + 1, len(prediction_ids) + 1), np.int64)
    truth_table, prediction_table = _hash_table(truth_ids), _hash_table(prediction_ids)
    limits = _limits_of_runs(truth, prediction)
    for run in range(limits.size - 1):
        start = np.uint64(limits[run])
        row = _position(truth_table, np.uint64(truth[start]))
        column = _position(prediction_table, np.uint64(prediction[start]))
        counts[row, column] += limits[run + 1] - limits[run]
    return counts


@njit(cache=True, nogil=True)
def _limits_of_runs(
    truth: NDArray[np.unsignedinteger[Any]], prediction: NDArray[np.unsignedinteger[Any]]
) -> NDArray[np.int64]:
    """Where runs of equal pixels begin, and the number of pixels as the last limit.

    Blocks of one run are skipped, by vector instructions: for them the width is constant, and the
    operands are slices. In other blocks no branch depends on the pixels, as it could not be predicted.
    """
    limits = np.empty(truth.size + 1, np.int64)
    limits[0] = 0
    if truth.size == 0:
        return limits
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
    for end in range(start, truth.size):
        limits[found] = end
        found += int((truth[end] != truth[end - 1]) | (prediction[end] != prediction[end - 1]))
    limits[found] = truth.size
    return limits[: found + 1]


@njit(cache=True, nogil=True)
def _hash_table(ids: NDArray[np.int64]) -> _Table:
    """A table where every key is in one of two neighboring slots, so that a look-up needs no loop.

    It is found by trial; the size doubles after every few multipliers that fail.
    """
    bits, trials, multiplier = 3, 0, np.uint64(0x9E3779B97F4A7C15)
    while 1 << bits < 4 * len(ids):
        bits += 1
    while True:
        shift = np.uint64(64 - bits)
        keys, positions = np.zeros((1 << bits) + 1, np.uint64), np.full((1 << bits) + 1, len(ids), np.uint64)
        placed = 0
        while placed < len(ids):
            key = np.uint64(ids[placed])
            slot = (key * multiplier) >> shift
            slot += np.uint64(positions[slot] != len(ids))
            if positions[slot] != len(ids):
                break
            keys[slot], positions[slot] = key, placed
            placed += 1
        if placed == len(ids):
            return keys, positions, multiplier, shift, np.uint64(len(ids))
        # The next number of Knuth's MMIX generator, made odd.
        multiplier = (multiplier * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)) | np.uint64(1)
        trials += 1
        bits += int(trials % 8 == 0)


@njit(cache=True, nogil=True)
def _position(table: _Table, key: np.uint64) -> np.uint64:
    """The position of an id among those that the table was made of, or their number for another id."""
    keys, positions, multiplier, shift, other = table
    slot = (key * multiplier) >> shift
    neighbor = slot + np.uint64(1)
    # A free slot has key 0, but not the position of id 0.
    in_neighbor = positions[neighbor] if keys[neighbor] == key else other
    return positions[slot] if keys[slot] == key else in_neighbor


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
