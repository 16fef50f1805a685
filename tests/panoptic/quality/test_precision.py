"""AP: equal to what pycocotools says of files of truth and results, and its error over images."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy import ndimage

from autopanoptic.panoptic.data.categories import Categories, Category
from autopanoptic.panoptic.data.coco.layout import find_splits
from autopanoptic.panoptic.data.segments import PanopticMap, Segment
from autopanoptic.panoptic.quality.bootstrap import estimate, estimate_difference
from autopanoptic.panoptic.quality.precision import BACKENDS, KINDS, STATS, AveragePrecision, Backend, Things

SAMPLE = Path(__file__).resolve().parents[4] / "shared" / "data" / "panoptic" / "coco_sample"
CATEGORIES = Categories([Category(i, f"category {i}", i < 5, (i, 0, 0)) for i in (4, 2, 1, 7)])
"""Three things, of which the truths below hold two, and stuff."""


def a_truth(rng: np.random.Generator, size: tuple[int, int] = (60, 80)) -> PanopticMap:
    ids = np.full(size, 9, np.uint32)
    segments = [Segment(9, 7, 0)]
    for number in range(1, 7):
        top, left = rng.integers(0, 50, 2)
        ids[top : top + rng.integers(4, 30), left : left + rng.integers(4, 30)] = number
        segments.append(Segment(number, int(rng.choice([1, 2])), 0, iscrowd=number == 6))
    kept = set(np.unique(ids).tolist())
    return PanopticMap(ids, tuple(segment for segment in segments if segment.id in kept))


def guessed(rng: np.random.Generator, truth: PanopticMap, categories: Categories = CATEGORIES) -> Things:
    """What a network might find: the truth's things grown, shrunk and shifted, some twice, some of another class."""
    masks, names = [], []
    things = [segment for segment in truth.segments if categories[segment.category_id].isthing]
    for segment in [*things, *things[::2]]:
        mask = truth.numpy() == segment.id
        mask = ndimage.binary_dilation(mask, iterations=int(rng.integers(1, 4))) if rng.random() < 0.4 else mask
        masks.append(np.roll(mask, rng.integers(-4, 5, 2), (0, 1)))
        other = rng.random() < 0.2
        names.append(int(rng.choice([c.id for c in categories.things])) if other else segment.category_id)
    boxes = np.array([rle.toBbox(rle.encode(np.asfortranarray(mask.astype(np.uint8)))) for mask in masks])
    boxes = np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), 1) + rng.normal(0, 0.5, (len(masks), 4))
    # Scores of two digits, so that there are ties.
    return Things(boxes.astype(np.float32), rng.random(len(masks)).round(2), names, np.stack(masks))


def by_pycocotools(
    folder: Path, truths: list[PanopticMap], found: list[Things], categories: Categories, kind: str
) -> Any:
    """COCOeval on files written here, by nothing of the library's."""
    images, annotations, results = [], [], []
    for number, (truth, things) in enumerate(zip(truths, found, strict=True), 100):
        images.append({"id": number, "height": truth.size[0], "width": truth.size[1]})
        for segment in truth.segments:
            if categories[segment.category_id].isthing:
                pixels = (truth.numpy() == segment.id).astype(np.uint8)
                rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
                box = [columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1]
                annotations.append({
                    "id": len(annotations) + 1, "image_id": number, "category_id": segment.category_id,
                    "iscrowd": int(segment.iscrowd), "area": int(pixels.sum()), "bbox": [int(x) for x in box],
                    "segmentation": encoded(pixels),
                })  # fmt: skip
        for box, score, name, mask in zip(*things, strict=True):
            x1, y1, x2, y2 = (float(x) for x in box)
            shape = {"bbox": [x1, y1, x2 - x1, y2 - y1]} if kind == "box" else {"segmentation": encoded(mask)}
            results.append({"image_id": number, "category_id": name, "score": float(score), **shape})
    known = [{"id": c.id, "name": c.name} for c in categories.things]
    (folder / "truth.json").write_text(json.dumps({"images": images, "annotations": annotations, "categories": known}))
    (folder / "results.json").write_text(json.dumps(results))
    truth_coco = COCO(str(folder / "truth.json"))
    evaluation = COCOeval(
        truth_coco, truth_coco.loadRes(str(folder / "results.json")), "bbox" if kind == "box" else "segm"
    )
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation


def encoded(mask: Any) -> dict[str, Any]:
    found = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {**found, "counts": found["counts"].decode()}


def gathered(
    truths: list[PanopticMap], found: list[Things], categories: Categories = CATEGORIES, backend: Backend | None = None
) -> AveragePrecision:
    precision = AveragePrecision(categories, backend)
    for truth, things in zip(truths, found, strict=True):
        precision.update(truth, things)
    return precision


def require_equal(
    folder: Path, truths: list[PanopticMap], found: list[Things], categories: Categories, backend: Backend
) -> None:
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    reports = gathered(truths, found, categories, backend).compute()
    for kind in KINDS:
        expected = by_pycocotools(folder, truths, found, categories, kind)
        stats = np.where(expected.stats < 0, np.nan, expected.stats)
        np.testing.assert_array_equal([reports[kind].stats[name] for name in STATS], stats)
        each = expected.eval["precision"][:, :, :, 0, -1]
        for place, category in enumerate(sorted(c.id for c in categories.things)):
            values = each[:, :, place]
            one = values[values > -1].mean() if (values > -1).any() else np.nan
            np.testing.assert_equal(reports[kind].per_category[category], one)
        np.testing.assert_allclose(reports[kind].figures.value, 100 * reports[kind].stats["ap"], rtol=1e-12)
    assert 0.05 < reports["mask"].stats["ap"] < 0.95  # else a wrong measure could agree


@pytest.fixture
def images() -> tuple[list[PanopticMap], list[Things]]:
    rng = np.random.default_rng(3)
    truths = [a_truth(rng) for _ in range(8)]
    return truths, [guessed(rng, truth) for truth in truths]


@pytest.mark.parametrize("backend", BACKENDS)
def test_equals_pycocotools(tmp_path: Path, images: tuple[list[PanopticMap], list[Things]], backend: Backend) -> None:
    require_equal(tmp_path, *images, CATEGORIES, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_equals_pycocotools_on_two_coco_images(tmp_path: Path, backend: Backend) -> None:
    if not SAMPLE.is_dir():
        pytest.skip(f"the two COCO images are not at {SAMPLE}")
    dataset = find_splits(SAMPLE).val.open()
    rng = np.random.default_rng(0)
    truths = [dataset.truth(index) for index in range(len(dataset))]
    found = [guessed(rng, truth, dataset.categories) for truth in truths]
    require_equal(tmp_path, truths, found, dataset.categories, backend)


def test_the_error_over_images_is_that_of_images_drawn_anew(images: tuple[list[PanopticMap], list[Things]]) -> None:
    """A draw by weights is a data set in which images stand several times."""
    truths, found = images
    for kind in KINDS:
        figures = gathered(truths, found).compute()[kind].figures
        for seed in range(5):
            drawn = np.random.default_rng(seed).integers(len(truths), size=len(truths))
            weights = np.bincount(drawn, minlength=len(truths)).astype(np.float64)
            again = gathered([truths[i] for i in drawn], [found[i] for i in drawn]).compute()[kind]
            # Where scores are equal the order of images decides, which here is the order of the draw.
            assert figures.of(weights[None])[0] == pytest.approx(100 * again.stats["ap"], abs=0.7)


def test_the_error_over_images_is_exact_without_ties(images: tuple[list[PanopticMap], list[Things]]) -> None:
    truths, _ = images
    rng = np.random.default_rng(5)
    found = [things._replace(scores=rng.random(len(things.scores))) for things in images[1]]
    figures = gathered(truths, found).compute()["mask"].figures
    drawn = [0, 0, 2, 3, 3, 3, 5, 7]
    again = gathered([truths[i] for i in drawn], [found[i] for i in drawn]).compute()["mask"]
    weights = np.bincount(drawn, minlength=len(truths)).astype(np.float64)
    assert figures.of(weights[None])[0] == pytest.approx(100 * again.stats["ap"], abs=1e-9)


def test_intervals(images: tuple[list[PanopticMap], list[Things]]) -> None:
    truths, found = images
    figures = gathered(truths, found).compute()["mask"].figures
    own = estimate(figures, resamples=50)
    assert own.low < own.value < own.high
    assert own.images == len(truths)
    same = estimate_difference(figures, figures, resamples=50)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    fewer = gathered(truths[:3], found[:3])
    with pytest.raises(ValueError, match="measured on 8 and 3"):
        estimate_difference(figures, fewer.compute()["mask"].figures)


@pytest.mark.parametrize("backend", [name for name in BACKENDS if find_spec(name)])
def test_nothing_found_and_nothing_there(backend: Backend) -> None:
    rng = np.random.default_rng(0)
    nothing = Things(np.zeros((0, 4)), np.zeros(0), [], np.zeros((0, 60, 80), bool))
    missed = gathered([a_truth(rng)], [nothing], backend=backend).compute()["box"]
    assert missed.stats["ap"] == 0
    empty = PanopticMap(np.full((60, 80), 9, np.uint32), (Segment(9, 7, 4800),))
    report = gathered([empty], [nothing], backend=backend).compute()["mask"]
    assert np.isnan(report.stats["ap"])
    assert report.metrics() == {}
    assert set(report.to_json()["per_category"].values()) == {None}
    assert np.isnan(report.figures.value)


def test_refusals() -> None:
    rng = np.random.default_rng(0)
    truth = a_truth(rng)
    things = guessed(rng, truth)
    precision = AveragePrecision(CATEGORIES)
    with pytest.raises(ValueError, match="category 7 is no thing"):
        precision.update(truth, things._replace(category_ids=[7] * len(things.scores)))
    with pytest.raises(ValueError, match="need as many masks"):
        precision.update(truth, things._replace(masks=things.masks[:, :-1]))
    with pytest.raises(ValueError, match="backend='cocoapi' is none of hotcoco, pycocotools"):
        AveragePrecision(CATEGORIES, "cocoapi")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="all categories are stuff"):
        AveragePrecision(Categories(CATEGORIES.stuff))
