"""Intersection over union (IoU) of a network's semantic branch, label by label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autopanoptic.panoptic.data.categories import THING, VOID, Categories
from autopanoptic.panoptic.data.coco.reader import compact_ids
from autopanoptic.panoptic.data.segments import PanopticMap

THINGS = "things"
"""Name of label 0, any thing."""


@dataclass(frozen=True)
class SemanticReport:
    """IoU over a set of images, in fractions; `metrics` has percentages.

    Means are over the labels that the truth holds.

    Attributes:
        miou: Mean IoU over any thing and every stuff class; NaN where the truth is void everywhere.
        miou_stuff: The same over the stuff classes alone.
        pixel_accuracy: Part of the pixels, void left out, whose label is right.
        things: IoU of label 0, any thing; NaN where the truth has none.
        per_category: IoU of each stuff category by its id; NaN for one that the truth does not hold.
        counts: (N, S + 1, 3) pixels of each image and label: right, in the truth, predicted; void left out.
    """

    miou: float
    miou_stuff: float
    pixel_accuracy: float
    things: float
    per_category: Mapping[int, float]
    counts: NDArray[np.int64] = field(repr=False, compare=False)

    def metrics(self) -> dict[str, float]:
        """``miou``, ``miou_stuff`` and ``pixel_accuracy`` in percent, without what is NaN."""
        found = {"miou": self.miou, "miou_stuff": self.miou_stuff, "pixel_accuracy": self.pixel_accuracy}
        return {name: 100 * value for name, value in found.items() if not np.isnan(value)}

    def to_json(self) -> dict[str, Any]:
        """All IoUs in fractions, null for NaN."""
        values = {"miou": self.miou, "miou_stuff": self.miou_stuff, "pixel_accuracy": self.pixel_accuracy}
        plain = {name: _plain(value) for name, value in {**values, THINGS: self.things}.items()}
        return {**plain, "per_category": {str(key): _plain(value) for key, value in self.per_category.items()}}

    @cached_property
    def figures(self) -> SemanticFigures:
        """The mean IoU of any draw of the images."""
        return SemanticFigures(self.counts)


class SemanticQuality:
    """Gathers what a semantic branch says about images.

    Args:
        categories: Of the data set; they give the labels.
    """

    def __init__(self, categories: Categories) -> None:
        self.categories = categories
        self._counts: list[NDArray[np.int64]] = []

    def update(self, truth: PanopticMap, labels: NDArray[np.integer[Any]]) -> None:
        """Add an image.

        Args:
            truth: Void is left out; crowds are things.
            labels: (H, W) of the truth's size, 0 for any thing, 1..S for stuff.

        Raises:
            ValueError: The sizes differ, a label stands for no category, or the truth has an unknown one.
        """
        expected = semantic_map(truth, self.categories)
        if labels.shape != expected.shape:
            raise ValueError(f"labels of {labels.shape} do not fit a truth of {expected.shape}")
        number = len(self.categories.stuff) + 1
        known = expected != VOID
        wanted, found = expected[known].astype(np.int64), labels[known].astype(np.int64)
        if found.size and not 0 <= found.min() <= found.max() < number:
            raise ValueError(f"labels range over {found.min()}..{found.max()}, but there are 0..{number - 1}")
        right = np.bincount(wanted[wanted == found], minlength=number)
        parts = (right, np.bincount(wanted, minlength=number), np.bincount(found, minlength=number))
        self._counts.append(np.stack(parts, axis=1))

    def compute(self) -> SemanticReport:
        """What was found on all images so far."""
        number = len(self.categories.stuff) + 1
        counts = np.stack(self._counts) if self._counts else np.zeros((0, number, 3), np.int64)
        total = counts.sum(axis=0)
        ious = _ious(total.astype(np.float64))
        pixels = int(total[:, 1].sum())
        return SemanticReport(
            _mean(ious),
            _mean(ious[1:]),
            float(total[:, 0].sum() / pixels) if pixels else np.nan,
            float(ious[THING]),
            {category.id: float(ious[label]) for label, category in enumerate(self.categories.stuff, 1)},
            counts,
        )


class SemanticFigures:
    """The mean IoU of any draw of images, in percent; for `autopanoptic.panoptic.quality.bootstrap.estimate`.

    Args:
        counts: As `SemanticReport.counts`.
    """

    def __init__(self, counts: NDArray[np.int64]) -> None:
        self._counts = counts
        self._columns = counts.reshape(len(counts), -1).astype(np.float64)
        self.value = float(self.of(np.ones((1, len(counts))))[0])

    def __len__(self) -> int:
        return len(self._counts)

    def of(self, drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        """(R, N) how often each image was drawn, to (R,) percent."""
        ious = _ious((drawn @ self._columns).reshape(len(drawn), *self._counts.shape[1:]))
        seen = ~np.isnan(ious)
        count = seen.sum(axis=1)
        means: NDArray[np.float64] = np.divide(
            100 * np.where(seen, ious, 0).sum(axis=1), count, out=np.full(len(drawn), np.nan), where=count > 0
        )
        return means


def semantic_map(truth: PanopticMap, categories: Categories) -> NDArray[np.uint8]:
    """Return (H, W): stuff labels 1..S, 0 for any thing (crowds too), 255 for void.

    Raises:
        ValueError: The truth has a category that is not among these.
    """
    named = [categories[segment.category_id] for segment in truth.segments]
    values = [VOID, *(THING if one.isthing else categories.stuff_label[one.id] for one in named)]
    ids = truth.numpy().astype(np.uint32, copy=False)
    found: NDArray[np.uint8] = np.array(values, np.uint8)[compact_ids(ids, [s.id for s in truth.segments])]
    return found


def _ious(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., L, 3) pixels to (..., L) IoUs, NaN for labels that the truth does not hold."""
    right, wanted, found = np.moveaxis(counts, -1, 0)
    ious: NDArray[np.float64] = np.divide(
        right, wanted + found - right, out=np.full(right.shape, np.nan), where=wanted > 0
    )
    return ious


def _mean(values: Sequence[float] | NDArray[np.float64]) -> float:
    known = np.asarray(values)[~np.isnan(values)]
    return float(known.mean()) if len(known) else np.nan


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else value
