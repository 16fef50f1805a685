"""Compiled parts of panoptic quality: counting pixels of id pairs, and matching segments.

Importing this module loads numba. The kernels are compiled on their first call, for the widths of the
ids at hand, and cached on disk.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from autopanoptic.panoptic.quality.runs import Ids

Integers: TypeAlias = NDArray[np.int64]
# Keys and positions by slot; multiplier and shift, which give the slot of a key; the number of keys.
_Table: TypeAlias = tuple[NDArray[np.uint64], NDArray[np.uint64], np.uint64, np.uint64, np.uint64]


@njit(cache=True, nogil=True)
def count_pairs(
    truth: Ids, prediction: Ids, limits: Integers, truth_ids: Integers, prediction_ids: Integers
) -> tuple[Integers, Integers, Integers]:
    """Counts the pixels of every pair of a truth's and a prediction's segment, in a table of all pairs.

    Args:
        truth: (P,) ids.
        prediction: (P,) ids.
        limits: Of their runs, see `limits_of_runs`. An argument, because numba's cache on disk would not see
            changes of a kernel in another file.
        truth_ids: (T,) ids, each once, at least 0.
        prediction_ids: (S,) ids, each once, at least 0.

    Returns:
        Rows, columns and pixels of the pairs that occur, by rows and then columns: row t is truth_ids[t],
        row T any other id; so are columns.
    """
    counts = np.zeros((len(truth_ids) + 1, len(prediction_ids) + 1), np.int64)
    if truth.itemsize == 1:
        _count_bytes(truth, prediction, _positions(truth_ids), _positions(prediction_ids), limits, counts)
    else:
        _count_any(truth, prediction, _hash_table(truth_ids), _hash_table(prediction_ids), limits, counts)
    return _entries(counts)


@njit(cache=True, nogil=True)
def _count_any(
    truth: Ids, prediction: Ids, truth_table: _Table, prediction_table: _Table, limits: Integers, counts: Integers
) -> None:
    for run in range(limits.size - 1):
        start = np.uint64(limits[run])
        row = _position(truth_table, np.uint64(truth[start]))
        column = _position(prediction_table, np.uint64(prediction[start]))
        counts[row, column] += limits[run + 1] - limits[run]


@njit(cache=True, nogil=True)
def _count_bytes(
    truth: Ids,
    prediction: Ids,
    rows: NDArray[np.uint64],
    columns: NDArray[np.uint64],
    limits: Integers,
    counts: Integers,
) -> None:
    for run in range(limits.size - 1):
        start = np.uint64(limits[run])
        row, column = rows[np.uint64(truth[start])], columns[np.uint64(prediction[start])]
        counts[row, column] += limits[run + 1] - limits[run]


@njit(cache=True, nogil=True)
def _positions(ids: Integers) -> NDArray[np.uint64]:
    """The position of every byte among the ids, or their number."""
    positions = np.full(256, len(ids), np.uint64)
    for position in range(len(ids)):
        if ids[position] < 256:
            positions[ids[position]] = position
    return positions


@njit(cache=True, nogil=True)
def _entries(counts: Integers) -> tuple[Integers, Integers, Integers]:
    """Rows, columns and values of what is not 0."""
    found = np.count_nonzero(counts)
    rows, columns, values = np.empty(found, np.int64), np.empty(found, np.int64), np.empty(found, np.int64)
    place = 0
    for row in range(counts.shape[0]):
        for column in range(counts.shape[1]):
            if counts[row, column]:
                rows[place], columns[place], values[place] = row, column, counts[row, column]
                place += 1
    return rows, columns, values


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
    pairs: tuple[Integers, Integers, Integers],
    prediction_areas: Integers,
    truth_areas: NDArray[np.float64],
    truth_crowds: NDArray[np.bool_],
    truth_categories: Integers,
    prediction_categories: Integers,
    iou: NDArray[np.float64],
    hits: Integers,
) -> None:
    """Matches one image's segments and adds what was found to the totals.

    The rules are those of panopticapi's evaluation.py, also where a truth's areas are wrong: the union
    may then be 0, which gives an infinite IoU.

    Args:
        pairs: Rows, columns and pixels of the pairs that occur, by rows and then columns. Row 0 and column 0
            are void, then come the segments; others are ids without segment.
        prediction_areas: (S + 1,) or longer, pixels of each column.
        truth_areas: (T,) pixels, as the truth states them.
        truth_crowds: (T,)
        truth_categories: (T,) indices below C; -1 for a category that is not evaluated.
        prediction_categories: (S,) indices below C.
        iou: (C,) sums of the IoU of true positives, added to.
        hits: (C, 3) true positives, false positives, false negatives, added to.
    """
    rows, columns, pixels = pairs
    truths, predictions = len(truth_areas), len(prediction_categories)
    void = np.zeros(predictions, np.int64)
    truth_matched, prediction_matched = np.zeros(truths, np.bool_), np.zeros(predictions, np.bool_)
    for pair in range(len(pixels)):
        t, s = rows[pair] - 1, columns[pair] - 1
        if s < 0 or s >= predictions or t >= truths:
            continue
        if t < 0:
            void[s] = pixels[pair]
        elif not truth_crowds[t] and truth_categories[t] == prediction_categories[s]:
            # Void has the first row, so that it is known here.
            overlap = pixels[pair] / (prediction_areas[s + 1] + truth_areas[t] - pixels[pair] - void[s])
            if overlap > 0.5:
                category = truth_categories[t]
                iou[category] += overlap
                hits[category, 0] += 1
                truth_matched[t] = prediction_matched[s] = True
    crowds = np.full(len(iou), -1, np.int64)
    for t in range(truths):
        category = truth_categories[t]
        if category < 0:
            continue
        if truth_crowds[t]:
            crowds[category] = t
        elif not truth_matched[t]:
            hits[category, 2] += 1
    ignored = void
    for pair in range(len(pixels)):
        t, s = rows[pair] - 1, columns[pair] - 1
        if 0 <= s < predictions and t >= 0 and crowds[prediction_categories[s]] == t:
            ignored[s] += pixels[pair]
    for s in range(predictions):
        if not prediction_matched[s] and ignored[s] / prediction_areas[s + 1] <= 0.5:
            hits[prediction_categories[s], 1] += 1
