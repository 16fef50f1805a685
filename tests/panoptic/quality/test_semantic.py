"""mIoU: equal to a plain confusion matrix, and its error over images."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from autopanoptic.panoptic.data.categories import Categories, Category
from autopanoptic.panoptic.data.segments import PanopticMap, Segment
from autopanoptic.panoptic.quality.bootstrap import estimate
from autopanoptic.panoptic.quality.semantic import SemanticQuality, semantic_map

# Things stand between stuff, ids are not in order, and category 30 occurs nowhere.
CATEGORIES = Categories(
    [Category(9, "sky", False, (0, 0, 9)), Category(4, "cat", True, (0, 0, 4)), Category(2, "sand", False, (0, 0, 2)),
     Category(30, "snow", False, (0, 0, 30))]
)  # fmt: skip
LABELS = {9: 1, 4: 0, 2: 2}


def an_image(rng: np.random.Generator) -> tuple[PanopticMap, NDArray[np.int64]]:
    ids = rng.choice([0, 7, 300, 70000, 70001], (20, 30), p=[0.1, 0.3, 0.2, 0.2, 0.2]).astype(np.uint32)
    segments = (Segment(7, 9, 0), Segment(300, 4, 0), Segment(70000, 2, 0), Segment(70001, 4, 0, iscrowd=True))
    truth = PanopticMap(ids, segments)
    labels = np.zeros(ids.shape, np.int64)
    for segment in segments:
        labels[ids == segment.id] = LABELS[segment.category_id]
    wrong = rng.random(ids.shape) < 0.4
    return truth, np.where(wrong, rng.integers(0, 4, ids.shape), labels)


def plainly(images: list[tuple[PanopticMap, NDArray[np.int64]]]) -> NDArray[np.int64]:
    """The confusion matrix, pixel by pixel: truth in rows, prediction in columns."""
    matrix = np.zeros((4, 4), np.int64)
    for truth, labels in images:
        named = {segment.id: LABELS[segment.category_id] for segment in truth.segments}
        for pixel, label in zip(truth.numpy().ravel().tolist(), labels.ravel().tolist(), strict=True):
            if pixel:
                matrix[named[pixel], label] += 1
    return matrix


def gathered(images: list[tuple[PanopticMap, NDArray[np.int64]]]) -> SemanticQuality:
    quality = SemanticQuality(CATEGORIES)
    for truth, labels in images:
        quality.update(truth, labels)
    return quality


@pytest.fixture
def images() -> list[tuple[PanopticMap, NDArray[np.int64]]]:
    rng = np.random.default_rng(1)
    return [an_image(rng) for _ in range(5)]


def test_equals_a_plain_confusion_matrix(images: list[tuple[PanopticMap, NDArray[np.int64]]]) -> None:
    matrix = plainly(images)
    ious = [matrix[i, i] / (matrix[i].sum() + matrix[:, i].sum() - matrix[i, i]) for i in range(3)]
    report = gathered(images).compute()
    assert report.things == pytest.approx(ious[0])
    assert report.per_category[9] == pytest.approx(ious[1])
    assert report.per_category[2] == pytest.approx(ious[2])
    assert math.isnan(report.per_category[30])  # predicted, but nowhere in the truth
    assert report.miou == pytest.approx(np.mean(ious))
    assert report.miou_stuff == pytest.approx(np.mean(ious[1:]))
    assert report.pixel_accuracy == pytest.approx(np.trace(matrix) / matrix.sum())
    assert report.metrics()["miou"] == pytest.approx(100 * np.mean(ious))
    assert report.to_json()["per_category"]["30"] is None


def test_draws_are_images_counted_several_times(images: list[tuple[PanopticMap, NDArray[np.int64]]]) -> None:
    figures = gathered(images).compute().figures
    assert figures.value == pytest.approx(gathered(images).compute().metrics()["miou"])
    again = gathered([images[0], images[0], images[3]]).compute()
    assert figures.of(np.array([[2.0, 0, 0, 1, 0]]))[0] == pytest.approx(again.metrics()["miou"])
    own = estimate(figures, resamples=100)
    assert own.low < own.value < own.high


def test_the_semantic_map() -> None:
    truth = PanopticMap(np.array([[0, 5, 6, 8]], np.uint32), (Segment(5, 9, 1), Segment(6, 4, 1), Segment(8, 2, 1)))
    assert semantic_map(truth, CATEGORIES).tolist() == [[255, 1, 0, 2]]


def test_refusals(images: list[tuple[PanopticMap, NDArray[np.int64]]]) -> None:
    truth, labels = images[0]
    with pytest.raises(ValueError, match="do not fit"):
        SemanticQuality(CATEGORIES).update(truth, labels[1:])
    with pytest.raises(ValueError, match=r"range over 0\.\.4, but there are 0\.\.3"):
        SemanticQuality(CATEGORIES).update(truth, np.where(labels == 3, 4, labels))
    with pytest.raises(ValueError, match="unknown category id 11"):
        SemanticQuality(CATEGORIES).update(PanopticMap(truth.ids, (Segment(7, 11, 0),)), labels)


def test_no_image_and_a_void_one() -> None:
    assert math.isnan(SemanticQuality(CATEGORIES).compute().miou)
    void = PanopticMap(np.zeros((3, 3), np.uint32), ())
    assert gathered([(void, np.zeros((3, 3), np.int64))]).compute().metrics() == {}
