"""How sure a comparison is: over the seeds of the trainings, and over the images that the networks are measured on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from autopanoptic.panoptic.quality.bootstrap import Estimate, QualityFigures, estimate_difference
from autopanoptic.panoptic.quality.images import ImageCounts

LEVEL = 0.95


@dataclass(frozen=True)
class Mean:
    """A figure over the seeds of a network's trainings.

    Attributes:
        value: The mean.
        half: Half of its 95% interval by Student's t; None with one seed, of which nothing can be said.
        values: Of each seed.
    """

    value: float
    half: float | None
    values: tuple[float, ...]


def mean_of(values: Sequence[float]) -> Mean:
    """Return the mean of some seeds' figures, at least one, and its t-interval.

    Seeds are taken for draws of a normal distribution whose width is not known: with two of them the interval is 12.7
    standard errors to either side.
    """
    count = len(values)
    mean = math.fsum(values) / count
    if count == 1:
        return Mean(mean, None, tuple(values))
    error = float(np.std(values, ddof=1)) / math.sqrt(count)
    return Mean(mean, float(special.stdtrit(count - 1, (1 + LEVEL) / 2)) * error, tuple(values))


class MeanFigures:
    """The mean of a quality over the trainings of a network, of any draw of the images; as `Figures`.

    Args:
        counts: What each training's network found on each image, on the same images in the same order.
        metric: One of `METRICS` of panoptic quality.
    """

    def __init__(self, counts: Sequence[ImageCounts], metric: str) -> None:
        self._figures = [QualityFigures(one, metric) for one in counts]
        self.value = math.fsum(one.value for one in self._figures) / len(self._figures)

    def __len__(self) -> int:
        return len(self._figures[0])

    def of(self, drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        """(R, N) how often each image was drawn, to (R,) percent."""
        found: NDArray[np.float64] = np.mean([one.of(drawn) for one in self._figures], axis=0)
        return found


@dataclass(frozen=True)
class Difference:
    """The PQ of one network minus that of another, each the mean over the seeds that both have.

    Attributes:
        images: With its 95% interval over the images, paired: all networks and seeds share the draws.
        seeds: With its 95% interval over the seeds, of the differences of trainings with the same seed.
    """

    images: Estimate
    seeds: Mean

    @property
    def reading(self) -> str:
        """What it says: above or below where both intervals leave out 0, less where that of the images alone does."""
        over_images = self.images.low > 0 or self.images.high < 0
        over_seeds = self.seeds.half is not None and abs(self.seeds.value) > self.seeds.half
        word = "above" if self.images.value > 0 else "below"
        if over_images and over_seeds:
            return word
        if over_images:
            return f"{word} on these images"
        return "no difference that shows"


def difference_of(
    one: Mapping[int, ImageCounts], other: Mapping[int, ImageCounts], metric: str = "pq"
) -> Difference | None:
    """Return how two networks differ, by what each found with its seeds; None where they have no seed in common."""
    seeds = sorted(one.keys() & other.keys())
    if not seeds:
        return None
    mine, theirs = ([found[seed] for seed in seeds] for found in (one, other))
    images = estimate_difference(MeanFigures(mine, metric), MeanFigures(theirs, metric))
    each = [
        QualityFigures(a, metric).value - QualityFigures(b, metric).value for a, b in zip(mine, theirs, strict=True)
    ]
    return Difference(images, mean_of(each))
