import contextlib
import io
import json
import math
import pickle
from collections import Counter
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image

from autopanoptic.panoptic.data.categories import Categories, Category
from autopanoptic.panoptic.data.segments import PanopticMap, Segment, id_to_rgb, rgb_to_id
from autopanoptic.panoptic.quality import counts
from autopanoptic.panoptic.quality.metric import PanopticQuality

SAMPLE = Path(__file__).resolve().parents[4] / "shared" / "data" / "panoptic" / "coco_sample"
CATEGORIES = Categories([Category(i, f"category {i}", i < 40, (i, i, i)) for i in (1, 30, 2, 90, 41, 200)])
IDS = [1, 2, 3, 255, 256, 257, 65535, 65536, 65537, 70000, 2**23, 2**24 - 2, 2**24 - 1]


def by_panopticapi(pairs, categories=CATEGORIES):
    """The real panopticapi's state; only opening files is replaced, by colors in memory."""
    evaluation = pytest.importorskip("panopticapi.evaluation")
    colors, annotations = {}, []
    for number, pair in enumerate(pairs):
        names = [f"{number}_{kind}.png" for kind in ("truth", "prediction")]
        colors.update({name: id_to_rgb(panoptic.numpy()) for name, panoptic in zip(names, pair, strict=True)})
        annotations.append([as_annotation(number, *each) for each in zip(names, pair, strict=True)])
    opened = mock.patch.object(evaluation.Image, "open", lambda path: colors[Path(path).name])
    known = {entry["id"]: entry for entry in categories.to_json()}
    silent = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    with opened, silent[0], silent[1], np.errstate(all="ignore"):
        return evaluation.pq_compute_single_core(0, annotations, "", "", known)


def as_annotation(number, name, panoptic):
    segments = [
        {"id": s.id, "category_id": s.category_id, "area": s.area, "iscrowd": int(s.iscrowd)} for s in panoptic.segments
    ]
    return {"image_id": number, "file_name": name, "segments_info": segments}


def assert_equal(report, state, categories=CATEGORIES):
    """Every figure that panopticapi computes, within 1e-12."""
    close = {"rtol": 1e-12, "atol": 1e-12}
    for category in categories:
        theirs, ours = state[category.id], report.per_category[category.id]
        assert (ours.tp, ours.fp, ours.fn) == (theirs.tp, theirs.fp, theirs.fn)
        np.testing.assert_allclose(ours.iou, theirs.iou, **close)
    known = {entry["id"]: entry for entry in categories.to_json()}
    for mean, isthing in ((report.all, None), (report.things, True), (report.stuff, False)):
        if mean.n == 0:
            with pytest.raises(ZeroDivisionError):
                state.pq_average(known, isthing)
            assert math.isnan(mean.pq)
            continue
        theirs, per_category = state.pq_average(known, isthing)
        assert mean.n == theirs["n"]
        np.testing.assert_allclose([mean.pq, mean.sq, mean.rq], [theirs[k] for k in ("pq", "sq", "rq")], **close)
        for category_id, expected in per_category.items():
            quality = report.per_category[category_id]
            if quality.present:
                found = [quality.pq, quality.sq, quality.rq]
                np.testing.assert_allclose(found, [expected[k] for k in ("pq", "sq", "rq")], **close)


def blocks(rng, values, height, width):
    """A map of ragged rectangles, each of one of the values."""
    pixels = np.full((height, width), rng.choice(values))
    for value in rng.choice(values, 2 * len(values)):
        top, left = rng.integers(0, height), rng.integers(0, width)
        pixels[top : top + rng.integers(1, height + 1), left : left + rng.integers(1, width + 1)] = value
    noisy = rng.random((height, width)) < rng.choice([0, 0.1, 0.6])
    return np.where(noisy, rng.choice(values, (height, width)), pixels)


def a_wrong_area(rng, area):
    return rng.choice([0, 1, area // 3, area + 1, 3 * area, area + 0.25, -area, 10**7]).item()


def an_adversarial_truth(rng, height, width):
    """Void, several crowds of a category, ids without segment, segments without pixels, wrong areas."""
    ids = rng.choice(IDS, rng.integers(0, 8), replace=False).tolist()
    unlisted = [i for i in IDS if i not in ids][: rng.integers(0, 2)]
    pixels = blocks(rng, [0, *ids, *unlisted], height, width)
    segments = []
    for segment_id in ids:
        area = int((pixels == segment_id).sum())
        if area == 0 and rng.random() < 0.5:
            continue
        stated = area if rng.random() < 0.6 else a_wrong_area(rng, area)
        category = int(rng.choice([1, 1, 30, 90, 41, 77]))
        segments.append(Segment(segment_id, category, stated, bool(rng.random() < 0.3)))
    rng.shuffle(segments)
    return PanopticMap(pixels.astype(np.uint32), tuple(segments))


def an_answer(rng, truth):
    """A prediction that partly agrees with the truth, under its own ids."""
    height, width = truth.size
    ids = rng.choice(IDS, len(IDS), replace=False)
    pixels = np.roll(truth.ids, rng.integers(-1, 2, 2), (0, 1))
    found, inverse = np.unique(pixels, return_inverse=True)
    renamed = np.where(found == 0, rng.choice([0, ids[0]]), ids[: len(found)])[inverse.reshape(pixels.shape)]
    noisy = rng.random((height, width)) < rng.choice([0, 0.2, 0.5])
    pixels = np.where(noisy, blocks(rng, [0, *ids[:4]], height, width), renamed)
    names = dict(zip(renamed.ravel().tolist(), truth.ids.ravel().tolist(), strict=True))
    known = {segment.id: segment.category_id for segment in truth.segments if segment.category_id != 77}
    segments = []
    for segment_id in np.unique(pixels[pixels > 0]).tolist():
        likely = known.get(names.get(segment_id), 1)
        category = likely if rng.random() < 0.8 else int(rng.choice([1, 30, 90, 200]))
        segments.append(Segment(segment_id, category, int(rng.integers(0, 99))))
    return PanopticMap(pixels.astype(np.uint32), tuple(segments))


def an_adversarial_pair(seed):
    rng = np.random.default_rng(seed)
    truth = an_adversarial_truth(rng, *rng.integers(1, 24, 2))
    return truth, an_answer(rng, truth)


def measured(pairs, categories=CATEGORIES, check_truth=True):
    quality = PanopticQuality(categories, check_truth=check_truth)
    for pair in pairs:
        quality.update(*pair)
    return quality.compute()


def test_equals_panopticapi_on_adversarial_pairs():
    pairs = [an_adversarial_pair(seed) for seed in range(800)]
    for seed, pair in enumerate(pairs):
        try:
            assert_equal(measured([pair], check_truth=False), by_panopticapi([pair]))
        except AssertionError as error:
            raise AssertionError(f"pair {seed}: {error}") from error
    finite = [pair for pair in pairs if math.isfinite(measured([pair], check_truth=False).all.pq)]
    assert_equal(measured(finite, check_truth=False), by_panopticapi(finite))


def test_sparse_counts_equal_panopticapi_on_adversarial_pairs(monkeypatch):
    monkeypatch.setattr(counts, "DENSE", 0)
    for seed in range(200):
        pair = an_adversarial_pair(seed)
        assert_equal(measured([pair], check_truth=False), by_panopticapi([pair]))


@pytest.mark.parametrize("seed", range(3))
def test_thousands_of_segments_equal_panopticapi(seed):
    rng = np.random.default_rng(seed)
    listed = rng.choice(2**24 - 1, 1600, replace=False) + 1
    truth = np.repeat(np.repeat(listed.reshape(40, 40), 3, axis=0), 4, axis=1)
    wanted = np.where(rng.random(truth.shape) < 0.2, rng.choice(listed, truth.shape), truth)
    pair = [
        PanopticMap(
            ids, tuple(Segment(i, 1 + 29 * (i % 2), int(area)) for i, area in zip(found.tolist(), areas, strict=True))
        )
        for ids in (truth, wanted)
        for found, areas in [np.unique(ids, return_counts=True)]
    ]
    assert len(pair[1].segments) > counts.DENSE
    report = measured([pair])
    assert_equal(report, by_panopticapi([pair]))
    assert sum(each.tp for each in report.per_category.values()) > 50


def test_adversarial_pairs_hold_what_they_should():
    seen = Counter()
    for seed in range(800):
        truth, prediction = an_adversarial_pair(seed)
        crowds = Counter(segment.category_id for segment in truth.segments if segment.iscrowd)
        seen["several crowds of a category"] += max(crowds.values(), default=0) > 1
        listed = {segment.id for segment in truth.segments}
        seen["ids without segment"] += bool(set(np.unique(truth.ids)) - listed - {0})
        seen["segments without pixels"] += bool(listed - set(np.unique(truth.ids)))
        report = measured([(truth, prediction)], check_truth=False)
        seen["matches"] += sum(each.tp for each in report.per_category.values())
        seen["misses"] += sum(each.fp and each.fn for each in report.per_category.values())
        seen["above 100%"] += any(1 < each.sq < math.inf for each in report.per_category.values())
        seen["empty union"] += any(each.sq == math.inf for each in report.per_category.values())
        found = sum(each.tp + each.fp for each in report.per_category.values())
        seen["ignored predictions"] += found < len(prediction.segments)
        seen["nothing in it"] += report.all.n == 0
    assert min(seen.values()) > 5, seen
    assert len(seen) == 9


def test_equals_panopticapi_on_honest_pairs_with_checks():
    pairs = []
    for seed in range(200):
        rng = np.random.default_rng([seed, 1])
        truth = an_adversarial_truth(rng, *rng.integers(4, 24, 2))
        listed = {segment.id: segment for segment in truth.segments if segment.category_id != 77}
        pixels = np.where(np.isin(truth.ids, list(listed)), truth.ids, 0)
        segments = [
            Segment(i, listed[i].category_id, int((pixels == i).sum()), listed[i].iscrowd)
            for i in np.unique(pixels[pixels > 0]).tolist()
        ]
        truth = PanopticMap(pixels.astype(np.uint32), tuple(segments))
        pairs.append((truth, an_answer(rng, truth)))
    report = measured(pairs)
    assert_equal(report, by_panopticapi(pairs))
    assert 5 < report.metrics()["pq"] < 100


@pytest.fixture(scope="module")
def coco_sample():
    if not SAMPLE.is_dir():
        pytest.skip(f"the COCO sample is not at {SAMPLE}")
    content = json.loads((SAMPLE / "panoptic_examples.json").read_text())
    truths = []
    for annotation in content["annotations"]:
        with Image.open(SAMPLE / "panoptic_examples" / annotation["file_name"]) as png:
            ids = rgb_to_id(np.array(png))
        segments = tuple(
            Segment(s["id"], s["category_id"], s["area"], bool(s["iscrowd"])) for s in annotation["segments_info"]
        )
        truths.append(PanopticMap(ids, segments))
    return Categories.from_json(content["categories"]), truths


def a_perturbation(rng, truth, categories):
    """Moved, with segments dropped, joined, cut in two, or given another category."""
    ids = np.roll(truth.ids, rng.integers(-6, 7, 2), (0, 1))
    known = {segment.id: segment.category_id for segment in truth.segments}
    present = np.unique(ids[ids > 0])
    for segment_id in present:
        event, where = rng.random(), ids == segment_id
        if event < 0.1:
            ids[where] = 0
        elif event < 0.2:
            ids[where] = rng.choice(present)
        elif event < 0.3:
            where[:, rng.integers(0, ids.shape[1]) :] = False
            known[int(segment_id) ^ 1] = known[int(segment_id)]
            ids[where] = segment_id ^ 1
        elif event < 0.4:
            known[int(segment_id)] = int(rng.choice([category.id for category in categories]))
    return PanopticMap(ids, tuple(Segment(i, known[i], 0) for i in np.unique(ids[ids > 0]).tolist()))


def test_equals_panopticapi_on_real_annotations(coco_sample):
    categories, truths = coco_sample
    rng = np.random.default_rng(3)
    pairs = [(truth, a_perturbation(rng, truth, categories)) for truth in truths for _ in range(20)]
    report = measured(pairs, categories)
    assert_equal(report, by_panopticapi(pairs, categories), categories)
    assert sum(each.tp for each in report.per_category.values()) > 200
    assert sum(each.fp and each.fn for each in report.per_category.values()) > 10


def test_a_truth_predicted_by_itself_is_perfect(coco_sample):
    categories, truths = coco_sample
    metrics = measured([(truth, truth) for truth in truths], categories).metrics()
    # The pixels of crowds are in the prediction too, where they are ignored.
    assert metrics == dict.fromkeys(metrics, 100)
    assert len(metrics) == 9


def refused_by_panopticapi(truth, prediction):
    pytest.importorskip("panopticapi.evaluation")
    with pytest.raises(KeyError):
        by_panopticapi([(truth, prediction)])


def test_inconsistent_predictions_are_refused():
    truth = PanopticMap(np.array([[0, 7, 7, 7]]), (Segment(7, 1, 3),))
    cases = {
        "pixels of id 70000 but no such segment": PanopticMap(np.array([[7, 70001, 70000, 0]]), (Segment(7, 1, 1),)),
        "segment 9 has no pixels": PanopticMap(np.array([[7, 7, 7, 0]]), (Segment(7, 1, 3), Segment(9, 1, 1))),
        "segment 7 has the category 3, which is none of the data set's 6": PanopticMap(
            np.array([[7, 7, 7, 0]]), (Segment(7, 3, 3),)
        ),
    }
    for message, prediction in cases.items():
        refused_by_panopticapi(truth, prediction)
        for check_truth in (True, False):
            quality = PanopticQuality(CATEGORIES, check_truth=check_truth)
            with pytest.raises(ValueError, match=message):
                quality.update(truth, prediction)
            assert quality.compute().all.n == 0


def test_negative_ids_are_named():
    truth = PanopticMap(np.array([[7, 7]]), (Segment(7, 1, 2),))
    with pytest.raises(ValueError, match="pixels of id -1 but"):
        PanopticQuality(CATEGORIES).update(truth, PanopticMap(np.array([[7, -1]], np.int32), truth.segments))


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        (PanopticMap(np.array([[7, 7, 0]]), (Segment(7, 1, 1),)), "states an area of 1 but has 2 pixels"),
        (PanopticMap(np.array([[7, 7, 8]]), (Segment(7, 1, 2),)), "truth has pixels of id 8 but"),
        (PanopticMap(np.array([[7, 7, 0]]), (Segment(7, 1, 2), Segment(8, 1, 4))), "segment 8 states an area"),
        (PanopticMap(np.array([[7, 7, 0]]), (Segment(7, 5, 2),)), "segment 7 has the category 5"),
    ],
)
def test_a_contradictory_truth_is_refused_unless_told_otherwise(truth, message):
    prediction = PanopticMap(np.array([[3, 3, 3]]), (Segment(3, 1, 3),))
    with pytest.raises(ValueError, match=message):
        PanopticQuality(CATEGORIES).update(truth, prediction)
    assert_equal(measured([(truth, prediction)], check_truth=False), by_panopticapi([(truth, prediction)]))


def test_pq_above_100_percent_needs_an_unchecked_truth():
    truth = PanopticMap(np.full((4, 4), 7), (Segment(7, 1, 1),))
    prediction = PanopticMap(np.full((4, 4), 7), (Segment(7, 1, 16),))
    assert measured([(truth, prediction)], check_truth=False).metrics()["pq"] == 1600
    with pytest.raises(ValueError, match="check_truth=False"):
        measured([(truth, prediction)])


def test_sizes_must_agree():
    small, large = PanopticMap(np.zeros((1, 4), int), ()), PanopticMap(np.zeros((4, 4), int), ())
    with pytest.raises(ValueError, match=r"the truth is 4x4 .*the prediction 1x4"):
        PanopticQuality(CATEGORIES).update(large, small)


def test_an_iou_of_one_half_is_no_match():
    truth = PanopticMap(np.array([[7, 7, 7, 9]]), (Segment(7, 1, 3), Segment(9, 90, 1)))
    half = PanopticMap(np.array([[5, 5, 6, 5]]), (Segment(5, 1, 3), Segment(6, 90, 1)))
    found = measured([(truth, half)]).per_category[1]
    assert (found.tp, found.fp, found.fn) == (0, 1, 1)


def test_the_last_crowd_of_a_category_wins():
    """Two crowds: a prediction on the first is a false positive, on the second it is ignored."""
    crowds = Segment(7, 1, 4, iscrowd=True), Segment(8, 1, 4, iscrowd=True)
    pixels = np.array([[7, 7, 7, 7, 8, 8, 8, 8]])
    prediction = PanopticMap(np.array([[5, 5, 5, 5, 0, 0, 0, 0]]), (Segment(5, 1, 4),))
    assert measured([(PanopticMap(pixels, crowds), prediction)]).per_category[1].fp == 1
    assert measured([(PanopticMap(pixels, crowds[::-1]), prediction)]).per_category[1].fp == 0


def test_metrics_are_percentages_and_leave_out_what_was_not_seen():
    truth = PanopticMap(np.array([[7, 7, 7, 0]]), (Segment(7, 1, 3),))
    report = measured([(truth, truth)])
    assert report.metrics() == {
        "pq": 100, "sq": 100, "rq": 100, "pq_things": 100, "sq_things": 100, "rq_things": 100
    }  # fmt: skip
    assert report.stuff.n == 0
    assert math.isnan(report.per_category[30].pq)
    assert PanopticQuality(CATEGORIES).compute().metrics() == {}


def test_reports_are_json_and_text():
    report = measured([an_adversarial_pair(5)], check_truth=False)
    content = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert content["all"]["pq"] == report.all.pq
    assert content["per_category"]["200"]["pq"] is None
    assert content["per_category"]["1"]["fn"] == report.per_category[1].fn
    assert str(report).splitlines()[2].startswith("All")
    assert f"{100 * report.all.pq:.1f}" in str(report)


def test_accumulators_add_up():
    pairs = [an_adversarial_pair(seed) for seed in range(60)]
    pairs = [pair for pair in pairs if math.isfinite(measured([pair], check_truth=False).all.pq)]
    parts = [PanopticQuality(CATEGORIES, check_truth=False) for _ in range(2)]
    for position, pair in enumerate(pairs):
        parts[position % 2].update(*pair)
    whole = measured(pairs, check_truth=False)
    total = (parts[0] + pickle.loads(pickle.dumps(parts[1]))).compute()
    assert [(q.tp, q.fp, q.fn) for q in total.per_category.values()] == [
        (q.tp, q.fp, q.fn) for q in whole.per_category.values()
    ]
    assert total.metrics() == pytest.approx(whole.metrics(), rel=1e-12)
    before = parts[0].compute().metrics()
    parts[0].reset()
    assert parts[0].compute().all.n == 0
    assert before != {}
    with pytest.raises(ValueError, match="different categories"):
        total = parts[0] + PanopticQuality(Categories([Category(1, "other", True, (0, 0, 0))]))


def test_tensors_and_arrays_give_the_same():
    pairs = [an_adversarial_pair(seed) for seed in range(30)]
    tensors = [[PanopticMap(torch.from_numpy(m.ids.astype(np.int32)), m.segments) for m in pair] for pair in pairs]
    assert str(measured(tensors, check_truth=False)) == str(measured(pairs, check_truth=False))


def test_accumulators_of_categories_in_another_order_add_up():
    pair = an_adversarial_pair(5)
    turned = Categories(list(CATEGORIES)[::-1])
    parts = [PanopticQuality(categories, check_truth=False) for categories in (CATEGORIES, turned)]
    for part in parts:
        part.update(*pair)
    twice = measured([pair, pair], check_truth=False)
    assert (parts[0] + parts[1]).compute() == twice
    assert dict((parts[1] + parts[0]).compute().per_category) == dict(twice.per_category)
