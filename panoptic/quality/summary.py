"""What panoptic quality says about a set of images: PQ = SQ * RQ per category, and their means.

"Panoptic Segmentation" (Kirillov et al. 2019), section 4.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from autopanoptic.panoptic.data.categories import Category
from autopanoptic.panoptic.quality.images import ImageCounts

METRICS = tuple(f"{name}{group}" for group in ("", "_things", "_stuff") for name in ("pq", "sq", "rq"))
"""Names of what `QualityReport.metrics` holds."""


@dataclass(frozen=True)
class CategoryQuality:
    """One category's counts over all images, and its qualities as fractions.

    Attributes:
        tp: Matched pairs of segments.
        fp: Predicted segments without a match, less those that lie on void or crowds.
        fn: Segments of the truth without a match, crowds left out.
        iou: Sum of the matched pairs' IoU.
    """

    tp: int
    fp: int
    fn: int
    iou: float

    @property
    def present(self) -> bool:
        """Whether the category was seen at all; only then it counts in means."""
        return self.tp + self.fp + self.fn > 0

    @property
    def pq(self) -> float:
        """Panoptic quality; NaN for a category that was not seen."""
        return self.iou / self._segments if self.present else math.nan

    @property
    def sq(self) -> float:
        """Segmentation quality, the mean IoU of matches; 0 without a match, NaN for a category not seen."""
        if not self.present:
            return math.nan
        return self.iou / self.tp if self.tp else 0.0

    @property
    def rq(self) -> float:
        """Recognition quality, the F1 score of detection; NaN for a category that was not seen."""
        return self.tp / self._segments if self.present else math.nan

    @property
    def _segments(self) -> float:
        return self.tp + 0.5 * self.fp + 0.5 * self.fn


@dataclass(frozen=True)
class MeanQuality:
    """Means over the categories that were seen, as fractions.

    Attributes:
        pq: Mean panoptic quality; NaN when n is 0, and so for sq and rq.
        sq: Mean segmentation quality.
        rq: Mean recognition quality.
        n: Number of categories that were seen.
    """

    pq: float
    sq: float
    rq: float
    n: int

    @classmethod
    def over(cls, qualities: Iterable[CategoryQuality]) -> MeanQuality:
        """Averages the qualities of the categories that were seen."""
        seen = [quality for quality in qualities if quality.present]
        if not seen:
            return cls(math.nan, math.nan, math.nan, 0)
        n = len(seen)
        return cls(sum(q.pq for q in seen) / n, sum(q.sq for q in seen) / n, sum(q.rq for q in seen) / n, n)


@dataclass(frozen=True)
class QualityReport:
    """Panoptic quality over a set of images, in fractions; `metrics` has percentages.

    Attributes:
        all: Means over all categories that were seen in the truth or the prediction.
        things: Means over those of them that are things.
        stuff: Means over those of them that are stuff.
        per_category: Every category of the data set by its id, seen or not.
        images: What was found on each image, for `autopanoptic.panoptic.quality.bootstrap`.
    """

    all: MeanQuality
    things: MeanQuality
    stuff: MeanQuality
    per_category: Mapping[int, CategoryQuality]
    images: ImageCounts = field(repr=False, compare=False)

    @classmethod
    def of(cls, qualities: Mapping[Category, CategoryQuality], images: ImageCounts) -> QualityReport:
        """Averages the categories' qualities."""
        return cls(
            MeanQuality.over(qualities.values()),
            MeanQuality.over(quality for category, quality in qualities.items() if category.isthing),
            MeanQuality.over(quality for category, quality in qualities.items() if not category.isthing),
            {category.id: quality for category, quality in qualities.items()},
            images,
        )

    def metrics(self) -> dict[str, float]:
        """The means in percent, 0 to 100, as papers print them.

        Returns:
            pq, sq, rq, pq_things, sq_things, ..., rq_stuff; without those of a group of which nothing
            was seen.
        """
        groups = {"": self.all, "_things": self.things, "_stuff": self.stuff}
        return {
            f"{name}{group}": 100 * getattr(mean, name)
            for group, mean in groups.items()
            if mean.n
            for name in ("pq", "sq", "rq")
        }

    def to_json(self) -> dict[str, Any]:
        """Everything, in fractions, for `json.dump`; what was not seen is null."""
        per_category = {
            str(category_id): asdict(quality) | {name: getattr(quality, name) for name in ("pq", "sq", "rq")}
            for category_id, quality in self.per_category.items()
        }
        groups = {"all": asdict(self.all), "things": asdict(self.things), "stuff": asdict(self.stuff)}
        found: dict[str, Any] = _without_nan({**groups, "per_category": per_category})
        return found

    def __str__(self) -> str:
        lines = ["          |    PQ     SQ     RQ     N", "-" * 40]
        for name, mean in (("All", self.all), ("Things", self.things), ("Stuff", self.stuff)):
            values = "".join(f"{100 * value:7.1f}" for value in (mean.pq, mean.sq, mean.rq))
            lines.append(f"{name:10}|{values[1:]}{mean.n:6d}")
        return "\n".join(lines)


def _without_nan(value: Any) -> Any:
    """NaN is no JSON."""
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
