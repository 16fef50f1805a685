import tracemalloc
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autopanoptic.panoptic.data.categories import Categories, Category
from autopanoptic.panoptic.data.segments import PanopticMap, Segment
from autopanoptic.panoptic.quality import counts as counts_module
from autopanoptic.panoptic.quality.counts import PairCounts, _count_with_torch, pair_counts
from autopanoptic.panoptic.quality.metric import PanopticQuality
from tests.pretended_gpu import PretendedGpu, on_gpu

IDS = [1, 2, 3, 255, 256, 257, 65535, 65536, 65537, 70000, 2**23, 2**24 - 2, 2**24 - 1]


def blocks(rng, values, height, width):
    """A map of ragged rectangles, each of one of the values."""
    pixels = np.full((height, width), rng.choice(values))
    for value in rng.choice(values, 2 * len(values)):
        top, left = rng.integers(0, height), rng.integers(0, width)
        pixels[top : top + rng.integers(1, height + 1), left : left + rng.integers(1, width + 1)] = value
    noisy = rng.random((height, width)) < rng.choice([0, 0.1, 0.6])
    return np.where(noisy, rng.choice(values, (height, width)), pixels)


def table(counts):
    rows, columns, pixels = counts[:3]
    keys = rows * 2**32 + columns
    assert (np.diff(keys) > 0).all()
    assert (pixels > 0).all()
    found = np.zeros(counts.shape, np.int64)
    found[rows, columns] = pixels
    np.testing.assert_array_equal(counts.truth_areas(), found.sum(axis=1))
    np.testing.assert_array_equal(counts.prediction_areas(), found.sum(axis=0))
    return found


def plainly_counted(truth, prediction):
    counts = np.zeros((len(truth.segments) + 2, len(prediction.segments) + 2), np.int64)
    rows = {0: 0, **{segment.id: i for i, segment in enumerate(truth.segments, start=1)}}
    columns = {0: 0, **{segment.id: i for i, segment in enumerate(prediction.segments, start=1)}}
    for a, b in zip(truth.ids.ravel().tolist(), prediction.ids.ravel().tolist(), strict=True):
        counts[rows.get(a, -1), columns.get(b, -1)] += 1
    return counts


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    size=st.tuples(st.integers(0, 70), st.integers(0, 70)),
    dtypes=st.tuples(*[st.sampled_from(["u4", "i4", "i8", "u2", "u1", ">u4"])] * 2),
    listed=st.integers(0, 13),
)
def test_counts_equal_a_plain_count_for_all_integer_types(seed, size, dtypes, listed):
    rng = np.random.default_rng(seed)
    maps = []
    for dtype in dtypes:
        values = [0, *(i for i in IDS if i <= np.iinfo(dtype).max)]
        pixels = np.zeros(size) if 0 in size else blocks(rng, values, *size)
        segments = tuple(Segment(int(i), 1, 0) for i in rng.permutation(values[1:])[:listed])
        maps.append(PanopticMap(np.asfortranarray(pixels.astype(dtype)), segments))
    expected = plainly_counted(*maps)
    np.testing.assert_array_equal(table(pair_counts(*maps)), expected)
    with mock.patch.object(counts_module, "DENSE", 0):
        np.testing.assert_array_equal(table(pair_counts(*maps)), expected)
    for pairs in (0, counts_module.TABLE):
        with mock.patch.object(counts_module, "TABLE", pairs):
            by_torch = PairCounts(*_count_with_torch(*maps, torch.device("cpu")), expected.shape)
        np.testing.assert_array_equal(table(by_torch), expected)


def test_thousands_of_segments_are_told_apart():
    ids = np.random.default_rng(0).choice(2**24, (50, 60), replace=False) + 1
    segments = tuple(Segment(i, 1, 1) for i in ids.ravel().tolist())
    truth, turned = PanopticMap(ids, segments), PanopticMap(ids[::-1].copy(), segments)
    np.testing.assert_array_equal(table(pair_counts(truth, turned)), plainly_counted(truth, turned))


def test_memory_grows_with_the_segments_and_not_with_their_pairs():
    """66,000 segments of one pixel on both sides; a table of all pairs would take 35 GB."""
    ids = np.random.default_rng(0).permutation(66_000).reshape(220, 300) + 1
    segments = tuple(Segment(i, 1, 1) for i in range(1, 66_001))
    truth, turned = PanopticMap(ids, segments), PanopticMap(ids[::-1].copy(), segments)
    pair_counts(truth, turned)  # compiles
    tracemalloc.start()
    counts = pair_counts(truth, turned)
    quality = PanopticQuality(Categories([Category(1, "cell", True, (0, 0, 0))]))
    quality.update(truth, turned)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(counts.pixels) == 66_000
    assert counts.pixels.sum() == ids.size
    assert peak < 50e6
    (found,) = quality.compute().per_category.values()
    assert (found.tp, found.fp, found.fn) == (66_000, 0, 0)  # of one category, so that every pixel matches


def test_the_host_waits_for_a_gpu_once():
    rng = np.random.default_rng(0)
    segments = tuple(Segment(i, 1, 0) for i in IDS[::2])
    truth, prediction = (PanopticMap(blocks(rng, [0, *IDS], 20, 30).astype(np.int32), segments) for _ in range(2))
    with PretendedGpu() as gpu:
        found = pair_counts(truth, PanopticMap(on_gpu(torch.from_numpy(prediction.ids)), segments))
    np.testing.assert_array_equal(table(found), table(pair_counts(truth, prediction)))
    assert gpu.waits.total() == 1


@pytest.mark.gpu
def test_a_cuda_device_gives_the_same():
    rng = np.random.default_rng(0)
    segments = tuple(Segment(i, 1, 0) for i in IDS[::2])
    for size in rng.integers(1, 24, (30, 2)).tolist():
        truth, prediction = (PanopticMap(blocks(rng, [0, *IDS], *size).astype(np.int32), segments) for _ in range(2))
        moved = PanopticMap(torch.from_numpy(prediction.ids).cuda(), segments)
        np.testing.assert_array_equal(table(pair_counts(truth, moved)), table(pair_counts(truth, prediction)))
