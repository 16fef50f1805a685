"""Panoptic quality (PQ) from maps in memory, equal to panopticapi's to the last digits.

"Panoptic Segmentation" (Kirillov et al. 2019), section 4: a predicted segment matches one of the truth
when their IoU is strictly above 0.5; PQ is the sum of the matches' IoU over TP + FP / 2 + FN / 2.
What the paper leaves open follows panopticapi's evaluation.py:

- The area of a truth's segment is the one that its `Segment` (in files: the JSON) states; the area of a
  predicted one is counted. Void pixels of the truth do not count in the union.
- A predicted segment without a match is no false positive when more than half of it lies on void and
  on the crowd of its category; of several crowds of a category, only the last one counts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.segments import PanopticMap
from autopanoptic.panoptic.quality.counts import PairCounts, pair_counts
from autopanoptic.panoptic.quality.images import FoundOnImage, ImageCounts
from autopanoptic.panoptic.quality.summary import CategoryQuality, QualityReport


class PanopticQuality:
    """Accumulates panoptic quality over images.

    Accumulators of parts of a data set can be added: ``a + b`` is what one accumulator had found on all
    of their images, those of ``a`` first.

    Args:
        categories: The categories of the data set.
        check_truth: Whether to refuse a truth that contradicts itself: a segment whose area differs from
            its pixels, pixels of an id without segment, a category that is not in `categories`. panopticapi
            takes such a truth as it is, and then a PQ above 100% can come out. False does the same.

    Example:
        >>> quality = PanopticQuality(categories)
        >>> for truth, prediction in pairs:
        ...     quality.update(truth, prediction)
        >>> quality.compute().metrics()["pq"]
    """

    def __init__(self, categories: Categories, *, check_truth: bool = True) -> None:
        self.categories = categories
        self.check_truth = check_truth
        self._index = {category.id: index for index, category in enumerate(categories)}
        self.reset()

    def reset(self) -> None:
        """Forgets all images."""
        self._iou = np.zeros(len(self.categories), np.float64)
        self._hits = np.zeros((len(self.categories), 3), np.int64)
        self._images: list[FoundOnImage] = []

    def update(self, truth: PanopticMap, prediction: PanopticMap) -> None:
        """Adds one image. Nothing is added when an error is raised.

        Args:
            truth: The annotation; its segments' areas and crowds count.
            prediction: The network's answer, of the same size; its segments' areas are not used.

        Raises:
            ValueError: When the sizes differ; when a predicted segment has no pixels or an unknown
                category, or a predicted pixel has an id without segment; when the truth contradicts
                itself and is checked.
        """
        if truth.size != prediction.size:
            raise ValueError(
                f"the truth is {truth.size[0]}x{truth.size[1]} (height x width), the prediction "
                f"{prediction.size[0]}x{prediction.size[1]}; resize the prediction to the truth"
            )
        counts = pair_counts(truth, prediction)
        areas = counts.prediction_areas()
        _check_prediction(prediction, areas)
        if self.check_truth:
            _check_truth(truth, counts.truth_areas())
        self._match(truth, prediction, counts, areas)

    def _match(self, truth: PanopticMap, prediction: PanopticMap, counts: PairCounts, areas: NDArray[np.int64]) -> None:
        from autopanoptic.panoptic.quality.kernels import match

        iou, hits = np.zeros_like(self._iou), np.zeros_like(self._hits)
        match(
            (counts.rows, counts.columns, counts.pixels),
            areas,
            np.array([segment.area for segment in truth.segments], np.float64),
            np.array([segment.iscrowd for segment in truth.segments], np.bool_),
            self._indices(truth, known_only=self.check_truth),
            self._indices(prediction, known_only=True),
            iou,
            hits,
        )
        places = np.flatnonzero(hits.any(axis=1))
        self._add(FoundOnImage(places, iou[places], hits[places]))

    def _add(self, found: FoundOnImage) -> None:
        self._iou[found.places] += found.iou
        self._hits[found.places] += found.hits
        self._images.append(found)

    def _indices(self, panoptic: PanopticMap, *, known_only: bool) -> NDArray[np.int64]:
        """The position of every segment's category, -1 for an unknown one where that is allowed."""
        indices = [self._index.get(segment.category_id, -1) for segment in panoptic.segments]
        if known_only and -1 in indices:
            segment = panoptic.segments[indices.index(-1)]
            raise ValueError(
                f"segment {segment.id} has the category {segment.category_id}, which is none of the "
                f"data set's {len(self.categories)} categories"
            )
        return np.array(indices, np.int64)

    def compute(self) -> QualityReport:
        """What was found on all images so far."""
        rows = zip(self.categories, self._hits.tolist(), self._iou.tolist(), strict=True)
        found = {category: CategoryQuality(tp, fp, fn, iou) for category, (tp, fp, fn), iou in rows}
        return QualityReport.of(found, ImageCounts(self.categories, tuple(self._images)))

    def __iadd__(self, other: PanopticQuality) -> PanopticQuality:
        difference = self.categories.difference(other.categories)
        if difference is not None:
            raise ValueError(f"accumulators of different categories cannot be added: {difference}")
        places = np.array([self._index[category.id] for category in other.categories])
        for found in list(other._images):
            self._add(found._replace(places=places[found.places]))
        return self

    def __add__(self, other: PanopticQuality) -> PanopticQuality:
        total = PanopticQuality(self.categories, check_truth=self.check_truth)
        total += self
        total += other
        return total


def _check_prediction(prediction: PanopticMap, areas: NDArray[np.int64]) -> None:
    if areas[-1]:
        raise ValueError(
            f"the prediction has pixels of id {_stray(prediction)} but no such segment; list every id but 0"
        )
    if not areas[1:-1].all():
        empty = prediction.segments[int(np.argmin(areas[1:-1]))]
        raise ValueError(f"the predicted segment {empty.id} has no pixels; leave it out")


def _check_truth(truth: PanopticMap, counted: NDArray[np.int64]) -> None:
    areas: list[int] = counted.tolist()
    if [segment.area for segment in truth.segments] == areas[1:-1] and not areas[-1]:
        return
    advice = "mend the truth; PanopticQuality(check_truth=False) takes it as panopticapi does"
    if areas[-1]:
        raise ValueError(f"the truth has pixels of id {_stray(truth)} but no such segment; {advice}")
    for segment, area in zip(truth.segments, areas[1:-1], strict=True):
        if segment.area != area:
            raise ValueError(
                f"the truth's segment {segment.id} states an area of {segment.area} but has {area} pixels; {advice}"
            )


def _stray(panoptic: PanopticMap) -> int:
    """The smallest id that belongs to no segment."""
    known = [0, *(segment.id for segment in panoptic.segments)]
    return int(np.setdiff1d(panoptic.numpy(), known)[0])
