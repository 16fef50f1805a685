"""Average precision (AP) of boxes and masks, by pycocotools, whose COCOeval is what COCO's figures are made with.

Where hotcoco is installed, its COCOeval takes the place of it: the same figures, some fifty times as fast.

"Microsoft COCO" (Lin et al. 2014) and its detection challenge: AP is the mean over categories, over IoU thresholds
0.50, 0.55, ..., 0.95 and over 101 recalls, of at most 100 things an image.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle

from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.coco.reader import compact_ids
from autopanoptic.panoptic.data.segments import PanopticMap

Kind: TypeAlias = Literal["box", "mask"]
KINDS: tuple[Kind, ...] = ("box", "mask")
Backend: TypeAlias = Literal["hotcoco", "pycocotools"]
BACKENDS: tuple[Backend, ...] = ("hotcoco", "pycocotools")
"""What holds COCOeval, the faster one first."""
STATS = (
    "ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large",
    "ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large",
)  # fmt: skip
"""Names of the twelve figures that COCOeval summarizes, in its order."""


class Things(NamedTuple):
    """N things that a network has found on an image of H x W pixels.

    Attributes:
        boxes: (N, 4) x1, y1, x2, y2 in pixels, exclusive ends.
        scores: (N,) 0 to 1.
        category_ids: N of them.
        masks: (N, H, W) bool.
    """

    boxes: NDArray[np.floating[Any]]
    scores: NDArray[np.floating[Any]]
    category_ids: Sequence[int]
    masks: NDArray[np.bool_]


class RankedThings(NamedTuple):
    """The detections of one category on N images, D of them by descending score, as `average_precisions` takes them."""

    images: NDArray[np.int64]
    hits: NDArray[np.int8]
    truths: NDArray[np.float64]


@dataclass(frozen=True)
class PrecisionReport:
    """What COCOeval says of boxes or masks on a set of images, in fractions; `metrics` has percentages.

    Attributes:
        kind: ``"box"`` or ``"mask"``.
        stats: Every one of `STATS`; NaN where the truth has no thing of that size.
        per_category: AP of each thing category by its id; NaN for one that the truth does not hold.
        images: Number of images.
        ranked: The detections of each category, for the error over images.
        recalls: At which precision is read.
    """

    kind: Kind
    stats: Mapping[str, float]
    per_category: Mapping[int, float]
    images: int
    ranked: Sequence[RankedThings] = field(repr=False, compare=False)
    recalls: NDArray[np.float64] = field(repr=False, compare=False)

    def metrics(self) -> dict[str, float]:
        """``box_ap``, ``box_ap50``, ... (or ``mask_ap``, ...) in percent, without what is NaN."""
        return {f"{self.kind}_{name}": 100 * value for name, value in self.stats.items() if not np.isnan(value)}

    def to_json(self) -> dict[str, Any]:
        """Everything in fractions, null for NaN."""
        return {
            **{name: _plain(value) for name, value in self.stats.items()},
            "per_category": {str(key): _plain(value) for key, value in self.per_category.items()},
        }

    @cached_property
    def figures(self) -> PrecisionFigures:
        """The AP of any draw of the images."""
        return PrecisionFigures(self.ranked, self.images, self.recalls)


class AveragePrecision:
    """Gathers the things of images, before they are merged, and measures them by COCOeval.

    The truth is that of panoptic segmentation: a thing's mask is what is visible of it, its box is the mask's, and its
    area the mask's pixels. Crowds are ignored as COCOeval does.

    Args:
        categories: Of the data set; its things are measured.
        backend: One of `BACKENDS`; by default the first that is installed.

    Raises:
        ValueError: If the backend is another word, or there is no thing category.
        ImportError: If it is not installed.
    """

    def __init__(self, categories: Categories, backend: Backend | None = None) -> None:
        if not categories.things:
            raise ValueError("AP is of things, but all categories are stuff")
        self.categories = categories
        self._coco, self._evaluation = _backend(backend or _installed())
        self._sizes: list[tuple[int, int]] = []
        self._truths: list[dict[str, Any]] = []
        self._found: list[dict[str, Any]] = []

    def update(self, truth: PanopticMap, found: Things) -> None:
        """Add an image.

        Raises:
            ValueError: Shapes do not fit, or a category is no thing of the data set.
        """
        count, size = len(found.scores), truth.size
        if found.masks.shape != (count, *size) or found.boxes.shape != (count, 4) or len(found.category_ids) != count:
            raise ValueError(
                f"{count} scores on an image of {size} need as many masks, boxes and categories, not masks of "
                f"{found.masks.shape}, boxes of {found.boxes.shape} and {len(found.category_ids)} categories"
            )
        if unknown := [one for one in found.category_ids if one not in self.categories.thing_label]:
            raise ValueError(f"category {unknown[0]} is no thing of the data set")
        self._sizes.append(size)
        self._truths += self._annotated(truth)
        corners = found.boxes.astype(np.float64)
        extents = np.concatenate((corners[:, :2], corners[:, 2:] - corners[:, :2]), axis=1).tolist()
        each = zip(extents, found.scores.tolist(), found.category_ids, found.masks, strict=True)
        self._found += [
            {"image_id": len(self._sizes), "category_id": category, "score": score, "bbox": box, "rle": _encoded(mask)}
            for box, score, category, mask in each
        ]

    def _annotated(self, truth: PanopticMap) -> list[dict[str, Any]]:
        compact = compact_ids(truth.numpy().astype(np.uint32, copy=False), [s.id for s in truth.segments])
        entries = []
        for place, segment in enumerate(truth.segments, 1):
            if not self.categories[segment.category_id].isthing:
                continue
            encoded = _encoded(compact == place)
            entries.append({
                "image_id": len(self._sizes), "category_id": segment.category_id, "iscrowd": int(segment.iscrowd),
                "segmentation": encoded, "bbox": rle.toBbox(encoded).tolist(), "area": int(rle.area(encoded)),
            })  # fmt: skip
        return entries

    def compute(self) -> dict[Kind, PrecisionReport]:
        """Return what COCOeval says of the boxes and of the masks of all images so far."""
        return {kind: self._measured(kind) for kind in KINDS}

    def results(self, image_ids: Sequence[Any]) -> list[dict[str, Any]]:
        """Return the things that were found in COCO's format of results, with boxes and run-length encoded masks.

        Args:
            image_ids: Of the images, in the order in which they were added.
        """
        return [
            {
                "image_id": image_ids[one["image_id"] - 1], "category_id": one["category_id"], "score": one["score"],
                "bbox": one["bbox"], "segmentation": one["rle"],
            }
            for one in self._found
        ]  # fmt: skip

    def _measured(self, kind: Kind) -> PrecisionReport:
        # Both tell their progress on the standard output.
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = self._evaluation(
                self._indexed(self._truths), self._indexed([_result(one, kind) for one in self._found]),
                "bbox" if kind == "box" else "segm",
            )  # fmt: skip
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        # (T, Q, K, sizes, limits of things an image); -1 where the truth has none.
        precision = evaluation.eval["precision"][..., 0, -1]
        columns = {category: precision[:, :, place] for place, category in enumerate(evaluation.params.catIds)}
        return PrecisionReport(
            kind,
            {name: _known(np.array([value])) for name, value in zip(STATS, evaluation.stats, strict=True)},
            {category.id: _known(columns[category.id]) for category in self.categories.things},
            len(self._sizes),
            _ranked(evaluation, len(self._sizes)),
            np.asarray(evaluation.params.recThrs, np.float64),
        )

    def _indexed(self, annotations: list[dict[str, Any]]) -> Any:
        """As COCO reads them from files; ids begin with 1, because COCOeval takes 0 for none."""
        coco = self._coco()
        coco.dataset = {
            "images": [
                {"id": number, "height": height, "width": width}
                for number, (height, width) in enumerate(self._sizes, 1)
            ],
            "categories": [{"id": category.id, "name": category.name} for category in self.categories.things],
            "annotations": [{**one, "id": number} for number, one in enumerate(annotations, 1)],
        }
        coco.createIndex()
        return coco


class PrecisionFigures:
    """The AP of any draw of images, in percent; for `autopanoptic.panoptic.quality.bootstrap.estimate`.

    Args:
        ranked: The detections of each category.
        images: Number of images.
        recalls: At which precision is read.
    """

    def __init__(self, ranked: Sequence[RankedThings], images: int, recalls: NDArray[np.float64]) -> None:
        self._ranked, self._images, self._recalls = ranked, images, recalls
        self.value = float(self.of(np.ones((1, images)))[0])

    def __len__(self) -> int:
        return self._images

    def of(self, drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        """(R, N) how often each image was drawn, to (R,) percent."""
        from autopanoptic.panoptic.quality.precision_kernel import average_precisions

        each = np.stack([average_precisions(drawn, *one, self._recalls).mean(axis=1) for one in self._ranked])
        known = ~np.isnan(each)
        count = known.sum(axis=0)
        means: NDArray[np.float64] = np.divide(
            100 * np.where(known, each, 0).sum(axis=0), count, out=np.full(len(drawn), np.nan), where=count > 0
        )
        return means


def _installed() -> Backend:
    return next(name for name in BACKENDS if find_spec(name) is not None)


def _backend(name: Backend) -> tuple[Any, Any]:
    """Return COCO and COCOeval."""
    if name not in BACKENDS:
        raise ValueError(f"backend={name!r} is none of {', '.join(BACKENDS)}")
    if name == "hotcoco":
        module = import_module(name)
        return module.COCO, module.COCOeval
    return import_module("pycocotools.coco").COCO, import_module("pycocotools.cocoeval").COCOeval


def _encoded(mask: NDArray[np.bool_]) -> dict[str, Any]:
    found = rle.encode(np.asfortranarray(mask).view(np.uint8))
    return {**found, "counts": found["counts"].decode()}


def _result(one: Mapping[str, Any], kind: Kind) -> dict[str, Any]:
    """As `COCO.loadRes` completes a result of boxes alone, or of masks alone."""
    plain = {"image_id": one["image_id"], "category_id": one["category_id"], "score": one["score"], "iscrowd": 0}
    if kind == "box":
        return {**plain, "bbox": one["bbox"], "area": one["bbox"][2] * one["bbox"][3]}
    return {**plain, "segmentation": one["rle"], "area": int(rle.area(one["rle"]))}


def _ranked(evaluation: Any, images: int) -> list[RankedThings]:
    """Every category as COCOeval ranks it, over things of all sizes."""
    whole = list(evaluation.params.areaRng[0])
    each: dict[int, list[Any]] = {category: [] for category in evaluation.params.catIds}
    for one in evaluation.evalImgs:
        # None is where an image has neither truth nor detection.
        if one is not None and list(one["aRng"]) == whole:
            each[one["category_id"]].append(one)
    return [_ranking(found, len(evaluation.params.iouThrs), images) for found in each.values()]


def _ranking(found: list[Any], thresholds: int, images: int) -> RankedThings:
    """One category, of what COCOeval says of its images."""
    scores, numbers, hits = [np.zeros(0)], [np.zeros(0, np.int64)], [np.zeros((thresholds, 0), np.int8)]
    truths = np.zeros(images)
    for one in found:
        number, count = one["image_id"] - 1, len(one["dtScores"])
        truths[number] = np.count_nonzero(~np.asarray(one["gtIgnore"], bool))
        scores.append(np.asarray(one["dtScores"], np.float64))
        numbers.append(np.full(count, number))
        matched, ignored = (np.asarray(one[key]).reshape(thresholds, count) != 0 for key in ("dtMatches", "dtIgnore"))
        hits.append(np.where(ignored, 0, np.where(matched, 1, -1)).astype(np.int8))
    order = np.argsort(-np.concatenate(scores), kind="mergesort")
    return RankedThings(
        np.concatenate(numbers)[order], np.ascontiguousarray(np.concatenate(hits, axis=1)[:, order]), truths
    )


def _known(values: NDArray[np.float64]) -> float:
    known = values[values > -1]
    return float(known.mean()) if len(known) else np.nan


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else value
