"""How sure a comparison is."""

from __future__ import annotations

import numpy as np
import pytest

from autopanoptic.panoptic.compare.statistics import Difference, Mean, difference_of, mean_of
from autopanoptic.panoptic.data.scenes.kinds import CATEGORIES
from autopanoptic.panoptic.quality.bootstrap import Estimate, bootstrap_difference, value_of
from autopanoptic.panoptic.quality.images import FoundOnImage, ImageCounts

IMAGES = 30


def counts(skill: float, seed: int) -> ImageCounts:
    """Of a network that finds one segment of each of three categories with some probability."""
    rng = np.random.default_rng(seed)
    places = np.arange(3)
    images = []
    for _ in range(IMAGES):
        hits = (rng.random(3) < skill).astype(np.int64)
        images.append(FoundOnImage(places, 0.8 * hits, np.stack([hits, 0 * hits, 1 - hits], axis=1)))
    return ImageCounts(CATEGORIES, images)


def test_the_interval_over_seeds_is_students() -> None:
    assert mean_of([3.0]) == Mean(3.0, None, (3.0,))
    found = mean_of([50.0, 52.0])
    # Standard error 1, and the 97.5% quantile of t with one degree of freedom.
    assert (found.value, found.half) == (51.0, pytest.approx(12.7062, abs=1e-4))
    three = mean_of([1.0, 2.0, 3.0])
    assert three.half == pytest.approx(4.30265 / np.sqrt(3), abs=1e-4)


def test_the_interval_over_seeds_covers_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    found = [mean_of(list(rng.normal(7, 2, size=3))) for _ in range(2000)]
    covered = np.mean([abs(one.value - 7) <= (one.half or 0) for one in found])
    assert covered == pytest.approx(0.95, abs=0.015)


def test_with_one_seed_the_paired_difference_is_the_bootstraps() -> None:
    one, other = counts(0.8, 1), counts(0.5, 2)
    found = difference_of({0: one}, {0: other})
    assert found is not None
    assert found.images == bootstrap_difference(one, other)
    assert found.seeds == Mean(pytest.approx(value_of(one) - value_of(other)), None, (found.seeds.value,))


def test_seeds_are_paired_and_averaged_in_every_draw() -> None:
    one, other = {seed: counts(0.8, seed) for seed in (0, 1, 5)}, {seed: counts(0.5, seed + 10) for seed in (1, 0, 7)}
    found = difference_of(one, other)
    assert found is not None
    each = [value_of(one[seed]) - value_of(other[seed]) for seed in (0, 1)]
    assert found.seeds.values == tuple(each)
    assert found.images.value == pytest.approx(np.mean(each))
    alone = bootstrap_difference(one[0], other[0])
    # Two seeds on the same images halve neither bias nor the images' part, but average what each found by chance.
    assert found.images.standard_error < alone.standard_error
    assert difference_of({0: one[0]}, {1: one[1]}) is None


def test_the_same_network_does_not_differ_from_itself() -> None:
    one = {seed: counts(0.6, seed) for seed in (0, 1)}
    found = difference_of(one, one)
    assert found is not None
    assert (found.images.low, found.images.high, found.seeds.half) == (0, 0, 0)
    assert found.reading == "no difference that shows"


@pytest.mark.parametrize(
    ("low", "high", "seeds", "reading"),
    [
        (1, 3, Mean(2.0, 0.5, (2.0, 2.0)), "above"),
        (-3, -1, Mean(-2.0, 0.5, (2.0, 2.0)), "below"),
        (1, 3, Mean(2.0, 2.5, (2.0, 2.0)), "above on these images"),
        (1, 3, Mean(2.0, None, (2.0,)), "above on these images"),
        (-1, 5, Mean(2.0, 0.5, (2.0, 2.0)), "no difference that shows"),
    ],
)
def test_a_difference_is_read_by_both_intervals(low: float, high: float, seeds: Mean, reading: str) -> None:
    assert Difference(Estimate((low + high) / 2, 1.0, low, high, 0.95, 9), seeds).reading == reading
