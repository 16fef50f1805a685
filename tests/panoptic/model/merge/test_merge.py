import contextlib
import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from autopanoptic.panoptic.data.segments import rgb_to_id
from autopanoptic.panoptic.model.merge.merge import merge
from autopanoptic.panoptic.model.merge.rules import MergeRules
from tests.plain_maps import CATEGORIES
from tests.pretended_gpu import PretendedGpu, on_gpu


def a_prediction(rng, count, height, width):
    """Rectangles, some empty and some ragged, with tied and borderline scores."""
    masks = np.zeros((count, height, width), bool)
    for mask in masks:
        top, bottom = sorted(rng.integers(0, height + 1, 2))
        left, right = sorted(rng.integers(0, width + 1, 2))
        mask[top:bottom, left:right] = rng.random((bottom - top, right - left)) < rng.choice([0.5, 1])
    scores = rng.choice([0.2, 0.5, 0.6, 0.725, 0.75, 0.75, 0.9, 1.0, *rng.random(3)], count).astype(np.float32)
    labels = rng.integers(1, 3, count)
    blocks = rng.integers(0, 4, (height // 3 + 1, width // 3 + 1))
    semantic = blocks.repeat(3, 0).repeat(3, 1)[:height, :width]
    return SimpleNamespace(scores=scores, labels=labels, masks=masks, semantic=semantic)


def merged(given_, rules):
    tensors = [torch.from_numpy(x) for x in (given_.scores, given_.labels, given_.masks, given_.semantic)]
    return merge(*tensors, CATEGORIES, rules)


def plainly_merged(given_, rules):
    """The definition, pixel sets and no cleverness: a list of (category, score, set of pixels)."""
    found = [
        (float(score), int(label), set(zip(*np.nonzero(mask), strict=True)))
        for score, label, mask in zip(given_.scores, given_.labels, given_.masks, strict=True)
        if score >= rules.score_threshold and mask.any()
    ]
    if rules.order == "score":
        found.sort(key=lambda one: -one[0])
    else:
        found.sort(key=lambda one: (0, len(one[2])) if one[0] > rules.confident else (1, -one[0]))
    taken, segments = set(), []
    for score, label, pixels in found:
        if len(pixels & taken) / len(pixels) > rules.overlap_threshold:
            continue
        segments.append((CATEGORIES.things[label - 1].id, score, pixels - taken))
        taken |= pixels
    for label, category in enumerate(CATEGORIES.stuff, start=1):
        pixels = set(zip(*np.nonzero(given_.semantic == label), strict=True)) - taken
        if len(pixels) >= rules.stuff_area:
            segments.append((category.id, None, pixels))
    return [segment for segment in segments if segment[2]]


def as_pixel_sets(panoptic):
    ids = panoptic.numpy()
    return [
        (segment.category_id, segment.score, set(zip(*np.nonzero(ids == segment.id), strict=True)))
        for segment in panoptic.segments
    ]


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    size=st.tuples(st.integers(1, 14), st.integers(1, 14)),
    count=st.integers(0, 7),
    order=st.sampled_from(["score", "reference"]),
    overlap=st.sampled_from([0, 0.25, 0.5, 1 / 3, 1]),
    stuff_area=st.sampled_from([0, 1, 9, 40]),
    score=st.sampled_from([0, 0.5, 0.75]),
    confident=st.sampled_from([0.6, 0.725, 0.75]),
)
def test_equals_the_plain_definition(seed, size, count, order, overlap, stuff_area, score, confident):
    rules = MergeRules(order, score, overlap, stuff_area, confident)
    prediction = a_prediction(np.random.default_rng(seed), count, *size)
    panoptic = merged(prediction, rules)
    assert as_pixel_sets(panoptic) == plainly_merged(prediction, rules)
    areas = np.bincount(panoptic.numpy().ravel(), minlength=len(panoptic.segments) + 1)
    assert [segment.id for segment in panoptic.segments] == list(range(1, len(areas)))
    assert [segment.area for segment in panoptic.segments] == areas[1:].tolist()
    assert all(areas[1:] > 0)
    assert not any(segment.iscrowd for segment in panoptic.segments)


def merged_by_panopticapi(coco, mask_api, predictions, rules, folder):
    def encode(mask):
        return mask_api.encode(np.asfortranarray(mask.astype(np.uint8)))

    things, stuff, images = {}, {}, {}
    for image, one in predictions.items():
        height, width = one.semantic.shape
        images[image] = {"height": height, "width": width, "file_name": f"{image}.jpg"}
        labels = [CATEGORIES.things[label - 1].id for label in one.labels]
        found = zip(one.scores, labels, one.masks, strict=True)
        things[image] = [
            {
                "score": float(score),
                "category_id": label,
                "segmentation": encode(mask),
            }
            for score, label, mask in sorted(found, key=lambda each: -each[0])
            if score >= rules.score_threshold
        ]
        stuff[image] = [
            {"category_id": category.id, "segmentation": encode(one.semantic == label)}
            for label, category in enumerate(CATEGORIES.stuff, start=1)
            if (one.semantic == label).any()
        ]
    known = {entry["id"]: entry for entry in CATEGORIES.to_json()}
    thresholds = (rules.overlap_threshold, rules.stuff_area)
    with contextlib.redirect_stdout(io.StringIO()):
        return coco.combine_to_panoptic_single_core(
            0, list(images), images, things, stuff, str(folder), *thresholds, known
        )


# pycocotools 2.0.11 has an __array__ without numpy 2's copy argument.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_equals_panopticapi(tmp_path):
    coco = pytest.importorskip("panopticapi.combine_semantic_and_instance_predictions")
    mask_api = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(1)
    rules = MergeRules(stuff_area=12)
    predictions = {i: a_prediction(rng, rng.integers(0, 9), *rng.integers(4, 20, 2)) for i in range(300)}
    expected = merged_by_panopticapi(coco, mask_api, predictions, rules, tmp_path)
    painted = 0
    for annotation in expected:
        panoptic = merged(predictions[annotation["image_id"]], rules)
        with Image.open(tmp_path / annotation["file_name"]) as png:
            ids = rgb_to_id(np.asarray(png))
        assert (panoptic.numpy() == 0).tolist() == (ids == 0).tolist()
        ours, theirs = list(panoptic.segments), annotation["segments_info"]
        assert [segment.category_id for segment in ours] == [entry["category_id"] for entry in theirs]
        for segment, entry in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(panoptic.numpy() == segment.id, ids == entry["id"])
        painted += len(ours)
    assert painted > 600


def nested(scores, sizes):
    """Squares that share the upper left corner of an 8x8 image of sky."""
    masks = torch.zeros(len(sizes), 8, 8, dtype=torch.bool)
    for mask, size in zip(masks, sizes, strict=True):
        mask[:size, :size] = True
    semantic = torch.full((8, 8), 2)
    return torch.tensor(scores), torch.ones(len(sizes), dtype=torch.int64), masks, semantic


def test_orders_differ_as_documented():
    given_ = nested([0.95, 0.8], [8, 4])
    assert [s.area for s in merge(*given_, CATEGORIES, MergeRules("score")).segments] == [64]
    small_first = merge(*given_, CATEGORIES, MergeRules("reference"))
    assert [(s.area, s.score) for s in small_first.segments] == [
        (16, pytest.approx(0.8)),
        (48, pytest.approx(0.95)),
    ]
    unsure = nested([0.72, 0.6], [8, 4])
    assert [s.area for s in merge(*unsure, CATEGORIES, MergeRules("reference")).segments] == [64]


def test_an_instance_half_of_which_is_taken_stays():
    scores, labels, masks, semantic = nested([0.9, 0.8], [4, 4])
    masks[1, :4, :8] = True
    segments = merge(scores, labels, masks, semantic, CATEGORIES).segments
    assert [segment.area for segment in segments] == [16, 16]
    masks[0, 4, 0] = masks[1, 4, 0] = True
    assert len(merge(scores, labels, masks, semantic, CATEGORIES).segments) == 1


def test_void_remains_without_stuff_and_things():
    scores, labels, masks, semantic = nested([], [])
    panoptic = merge(scores, labels, masks, semantic * 0, CATEGORIES)
    assert panoptic.segments == ()
    assert not panoptic.numpy().any()
    assert panoptic.ids.dtype == torch.int32


def test_inputs_are_left_alone():
    given_ = nested([0.95, 0.8], [8, 4])
    before = [tensor.clone() for tensor in given_]
    merge(*given_, CATEGORIES)
    assert all(torch.equal(a, b) for a, b in zip(before, given_, strict=True))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("scores", torch.tensor([0.5, float("nan")]), "score nan is not from 0 to 1"),
        ("scores", torch.tensor([0.5, 3.0]), "score 3.0 is not from 0 to 1"),
        ("scores", torch.tensor([0.5]), "2 masks need 2 scores and labels"),
        ("labels", torch.tensor([1, 0]), r"thing label 0 is not in 1\.\.2"),
        ("labels", torch.tensor([1, 3]), r"thing label 3 is not in 1\.\.2"),
        ("labels", torch.tensor([1.0, 2.0]), "labels must be int64"),
        ("masks", torch.zeros(2, 8, 8), "of bool"),
        ("masks", torch.zeros(2, 8, 9, dtype=torch.bool), "must have the image's size"),
        ("semantic", torch.full((8, 8), 4), r"semantic label 4 is not in 0\.\.3"),
        ("semantic", torch.full((8, 8), -1), r"semantic label -1 is not in 0\.\.3"),
        ("semantic", torch.zeros(8, 8), "labels must be int64"),
    ],
)
def test_wrong_input_is_refused(name, value, message):
    given_ = dict(zip(["scores", "labels", "masks", "semantic"], nested([0.9, 0.8], [4, 8]), strict=True))
    with pytest.raises(ValueError, match=message):
        merge(**{**given_, name: value}, categories=CATEGORIES)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"order": "area"}, "order must be one of .*not 'area'"),
        ({"score_threshold": 1.5}, "score_threshold must be from 0 to 1, not 1.5"),
        ({"overlap_threshold": -0.1}, "overlap_threshold must be from 0 to 1"),
        ({"confident": float("nan")}, "confident must be from 0 to 1, not nan"),
        ({"stuff_area": 1.5}, "stuff_area must be a whole number, not 1.5"),
        ({"confident": "0.5"}, "confident must be a number, not '0.5'"),
        ({"stuff_area": -1}, "stuff_area must be at least 0 pixels, not -1"),
    ],
)
def test_wrong_rules_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        MergeRules(**values)


@pytest.mark.parametrize(("order", "waits"), [("score", 2), ("reference", 3)])
@pytest.mark.parametrize("count", [0, 1, 40])
def test_the_host_waits_for_a_gpu_so_often_however_many_instances_there_are(order, waits, count):
    rules = MergeRules(order=order, stuff_area=5)
    given_ = a_prediction(np.random.default_rng(count), count, 30, 40)
    expected = merged(given_, rules)
    tensors = [torch.from_numpy(x) for x in (given_.scores, given_.labels, given_.masks, given_.semantic)]
    with PretendedGpu() as gpu:
        found = merge(*on_gpu(tensors), CATEGORIES, rules)
    # What is to be painted, with its areas where they order it; and how many pixels each segment has got.
    painted = (given_.scores >= rules.score_threshold) & given_.masks.any(axis=(1, 2))
    assert gpu.waits.total() == (waits if painted.any() else 2)
    assert (found.ids.inner == expected.ids).all()
    assert found.segments == expected.segments
