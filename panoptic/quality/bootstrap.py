"""How far a quality would move on other images: the bootstrap over images.

Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapters 6 and 13: the images are drawn anew with
replacement, as many as there are, and the quality of each draw is worked out from what was found on each image. Two
networks on the same images share the draws, so that what makes images easy or hard for both cancels out of their
difference.

That is the error over images alone: what another seed of a training would change is not in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from autopanoptic.panoptic.quality.images import ImageCounts
from autopanoptic.panoptic.quality.summary import METRICS

RESAMPLES = 1000
_AT_A_TIME = 2**22
"""Drawn images that are held in memory at once."""


@dataclass(frozen=True)
class Estimate:
    """A quality, or a difference of two, in percent, and how sure it is.

    Attributes:
        value: On the images themselves.
        standard_error: Standard deviation over the resamples; NaN of a single image, which says nothing of others.
        low: Lower end of the percentile interval; NaN likewise.
        high: Upper end; NaN likewise.
        level: Share of the resamples in the interval.
        images: Number of images.
    """

    value: float
    standard_error: float
    low: float
    high: float
    level: float
    images: int

    def __str__(self) -> str:
        interval = f" [{self.low:.1f}, {self.high:.1f}]" if math.isfinite(self.low) else ""
        return f"{self.value:.1f}{interval}"

    def to_json(self) -> dict[str, float | None]:
        """Return it as a JSON object; None for NaN, which JSON has not."""
        return {name: value if math.isfinite(value) else None for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Estimate:
        """Read it back from :meth:`to_json`."""
        known: dict[str, Any] = {name: math.nan if value is None else value for name, value in values.items()}
        return cls(**known)


class Figures(Protocol):
    """A metric of any draw of some images."""

    @property
    def value(self) -> float:
        """On the images themselves, in percent; NaN where nothing of it was seen."""

    def __len__(self) -> int:
        """Number of images, N."""

    def of(self, drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (R,) percent for (R, N), how often each image was drawn."""


def estimate(figures: Figures, *, resamples: int = RESAMPLES, level: float = 0.95, seed: int = 0) -> Estimate:
    """Return the error over images of any metric; arguments, NaN and errors as of `bootstrap`."""
    values = np.concatenate([figures.of(drawn) for drawn in _draws(len(figures), resamples, seed)])
    return _estimate(figures.value, values, level, len(figures))


def estimate_difference(
    one: Figures, two: Figures, *, resamples: int = RESAMPLES, level: float = 0.95, seed: int = 0
) -> Estimate:
    """Return the error over images of one metric minus another, paired; as `bootstrap_difference`."""
    if len(one) != len(two):
        raise ValueError(
            f"a paired difference needs two networks on the same images: these were measured on {len(one)} and "
            f"{len(two)}"
        )
    values = np.concatenate([one.of(drawn) - two.of(drawn) for drawn in _draws(len(one), resamples, seed)])
    return _estimate(one.value - two.value, values, level, len(one))


def value_of(counts: ImageCounts, metric: str = "pq") -> float:
    """Return a metric of some images in percent, NaN where nothing of its group was seen.

    Raises:
        ValueError: There is no image or no such metric.
    """
    return QualityFigures(counts, metric).value


def bootstrap(
    counts: ImageCounts, metric: str = "pq", *, resamples: int = RESAMPLES, level: float = 0.95, seed: int = 0
) -> Estimate:
    """Return the error over images of a quality.

    Args:
        counts: What was found on each image, as `QualityReport.images` has it.
        metric: One of `METRICS`.
        resamples: How often the images are drawn anew, at least 2.
        level: Of the interval, above 0 and below 1.
        seed: Of the draws.

    Returns:
        NaN where nothing of the metric's group was seen. A draw without any of it does not count.

    Raises:
        ValueError: There is no image, no such metric, or an argument is out of range.
    """
    return estimate(QualityFigures(counts, metric), resamples=resamples, level=level, seed=seed)


def bootstrap_difference(
    counts: ImageCounts,
    other: ImageCounts,
    metric: str = "pq",
    *,
    resamples: int = RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Return the error over images of one network's quality minus another's on the same images, paired.

    Args:
        counts: Of the one.
        other: Of the other, on the same images in the same order.
        metric: One of `METRICS`.
        resamples: How often the images are drawn anew, at least 2.
        level: Of the interval, above 0 and below 1.
        seed: Of the draws.

    Returns:
        NaN where nothing of the metric's group was seen. A draw without any of it does not count.

    Raises:
        ValueError: Images or categories differ, there is no image or no such metric, or an argument is out of range.
    """
    difference = counts.categories.difference(other.categories)
    if difference is not None or len(counts) != len(other):
        raise ValueError(
            "a paired difference needs two networks on the same images: "
            + (difference or f"these were measured on {len(counts)} and {len(other)}")
        )
    one, two = QualityFigures(counts, metric), QualityFigures(other, metric)
    return estimate_difference(one, two, resamples=resamples, level=level, seed=seed)


class QualityFigures:
    """A panoptic quality of any draw of the images, as `Figures`.

    Args:
        counts: What was found on each image.
        metric: One of `METRICS`.

    Raises:
        ValueError: There is no image or no such metric.
    """

    def __init__(self, counts: ImageCounts, metric: str) -> None:
        if metric not in METRICS:
            raise ValueError(f"metric={metric!r} is none of {', '.join(METRICS)}")
        if not len(counts):
            raise ValueError("a bootstrap needs images, and none was measured")
        self._images = len(counts)
        self._kind, _, group = metric.partition("_")
        wanted = [group != ("stuff" if category.isthing else "things") for category in counts.categories]
        values = counts.values[:, wanted]
        iou, hits, segments = values[..., 0], values[..., 1], values[..., 1] + values[..., 2:].sum(axis=2) / 2
        parts = {"pq": (iou, segments), "rq": (hits, segments), "sq": (iou, hits)}[self._kind]
        # A category counts where it was seen, which for SQ its denominator does not say.
        self._columns = np.concatenate((*parts, segments), axis=1)
        self.value = float(self.of(np.ones((1, len(values))))[0])

    def __len__(self) -> int:
        return self._images

    def of(self, drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        """(R, N) how often each image was drawn, to (R,) percent."""
        above, below, segments = (drawn @ self._columns).reshape(len(drawn), 3, -1).transpose(1, 0, 2)
        seen = segments > 0
        shares = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
        count = seen.sum(axis=1)
        means: NDArray[np.float64] = np.divide(
            100 * shares.sum(axis=1), count, out=np.full(len(drawn), np.nan), where=count > 0
        )
        return means


def _draws(images: int, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield (R, N) how often each of N images was drawn, for all resamples."""
    if resamples < 2:
        raise ValueError(f"a bootstrap needs at least 2 resamples, not {resamples}")
    rng = np.random.default_rng(seed)
    at_a_time = max(1, _AT_A_TIME // images)
    for start in range(0, resamples, at_a_time):
        count = min(at_a_time, resamples - start)
        places = rng.integers(images, size=(count, images)) + images * np.arange(count)[:, None]
        yield np.bincount(places.ravel(), minlength=count * images).reshape(count, images).astype(np.float64)


def _estimate(value: float, values: NDArray[np.float64], level: float, images: int) -> Estimate:
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not be {level}")
    known = values[np.isfinite(values)]
    if not len(known) or images < 2:  # a single image tells nothing of others
        return Estimate(value, np.nan, np.nan, np.nan, level, images)
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(
        value, float(known.std(ddof=1)) if len(known) > 1 else np.nan, float(low), float(high), level, images
    )
