import json
import math

import numpy as np
import pytest

from autopanoptic.panoptic.data.categories import Categories, Category
from autopanoptic.panoptic.data.segments import PanopticMap, Segment
from autopanoptic.panoptic.quality import bootstrap as module
from autopanoptic.panoptic.quality.bootstrap import Estimate, bootstrap, bootstrap_difference, value_of
from autopanoptic.panoptic.quality.images import FoundOnImage, ImageCounts
from autopanoptic.panoptic.quality.metric import PanopticQuality
from autopanoptic.panoptic.quality.summary import METRICS, CategoryQuality, QualityReport
from autopanoptic.panoptic.stages.comparison import reading

CATEGORIES = Categories([Category(i, f"category {i}", i < 40, (i, i, i)) for i in (1, 30, 2, 90, 41)])


def random_counts(seed, images=40, categories=CATEGORIES):
    """Of several segments on an image, with a category (the third) that is seen on few."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(images):
        hits = rng.integers(0, 4, (len(categories), 3))
        hits[2] *= rng.random() < 0.1
        places = np.flatnonzero(hits.any(axis=1))
        found.append(FoundOnImage(places, hits[places, 0] * rng.uniform(0.5, 1, len(places)), hits[places]))
    return ImageCounts(categories, found)


def report_of(counts, drawn):
    """The report of some images, by Python's own sums."""
    found = {}
    for place, category in enumerate(counts.categories):
        tp, fp, fn, iou = 0, 0, 0, 0.0
        for index in drawn:
            for at, own_iou, hits in zip(*counts.images[index], strict=True):
                if at == place:
                    tp, fp, fn, iou = tp + hits[0], fp + hits[1], fn + hits[2], iou + own_iou
        found[category] = CategoryQuality(int(tp), int(fp), int(fn), float(iou))
    return QualityReport.of(found, counts)


def drawn_images(images, resamples, seed):
    """The images of each resample, by the same generator."""
    return np.random.default_rng(seed).integers(images, size=(resamples, images))


@pytest.mark.parametrize("metric", METRICS)
def test_equals_a_plain_loop(metric):
    counts, other = random_counts(1), random_counts(2)
    draws = drawn_images(40, 50, seed=7)
    own = np.array([report_of(counts, drawn).metrics()[metric] for drawn in draws])
    theirs = np.array([report_of(other, drawn).metrics()[metric] for drawn in draws])
    value = report_of(counts, range(40)).metrics()[metric]
    found = bootstrap(counts, metric, resamples=50, level=0.8, seed=7)
    assert found.value == pytest.approx(value, rel=1e-12)
    assert found.standard_error == pytest.approx(own.std(ddof=1), rel=1e-9)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(own, [0.1, 0.9])), rel=1e-12)
    paired = bootstrap_difference(counts, other, metric, resamples=50, level=0.8, seed=7)
    assert paired.value == pytest.approx(value - report_of(other, range(40)).metrics()[metric], abs=1e-10)
    assert paired.standard_error == pytest.approx((own - theirs).std(ddof=1), rel=1e-9)
    assert (paired.low, paired.high) == pytest.approx(tuple(np.quantile(own - theirs, [0.1, 0.9])), rel=1e-9)


def test_the_memory_for_the_draws_changes_nothing(monkeypatch):
    counts = random_counts(3)
    whole = bootstrap(counts, resamples=90)
    monkeypatch.setattr(module, "_AT_A_TIME", 7 * 40)
    parts = bootstrap(counts, resamples=90)
    assert (parts.value, parts.standard_error, parts.low, parts.high) == pytest.approx(
        (whole.value, whole.standard_error, whole.low, whole.high), rel=1e-12
    )


def test_the_error_of_a_mean_of_images_is_the_textbooks():
    """One segment an image, found or missed: PQ is a share, whose standard error is sqrt(p (1 - p) / n)."""
    only = Categories([Category(1, "thing", True, (1, 1, 1))])
    hit, missed = np.array([[1, 0, 0]]), np.array([[0, 0, 1]])
    found = [FoundOnImage(np.array([0]), np.array([float(i < 300)]), hit if i < 300 else missed) for i in range(400)]
    # PQ = 2 TP / (2 TP + FN) has, by the delta method, the derivative 2 / (1 + p)^2 in p = TP / n.
    share = 0.75
    expected = 100 * 2 / (1 + share) ** 2 * math.sqrt(share * (1 - share) / 400)
    estimate = bootstrap(ImageCounts(only, found), resamples=2000)
    assert estimate.value == pytest.approx(100 * 2 * share / (1 + share))
    assert estimate.standard_error == pytest.approx(expected, rel=0.06)
    assert (estimate.high - estimate.low) / 2 == pytest.approx(1.96 * expected, rel=0.08)
    assert estimate.images == 400


def test_no_difference_has_no_error_and_paired_is_narrower_than_each():
    counts = random_counts(4)
    same = bootstrap_difference(counts, counts)
    assert (same.value, same.standard_error, same.low, same.high) == (0, 0, 0, 0)
    # A network that finds on each image what the other does, and slightly better: the images' own spread cancels.
    better = [f._replace(iou=f.iou * 1.02) for f in counts.images]
    paired = bootstrap_difference(ImageCounts(CATEGORIES, better), counts)
    assert paired.low > 0
    assert paired.standard_error < bootstrap(counts).standard_error / 10


def test_identical_images_have_no_error():
    estimate = bootstrap(ImageCounts(CATEGORIES, [random_counts(5, images=1).images[0]] * 9))
    assert estimate.standard_error == pytest.approx(0, abs=1e-12)
    assert estimate.low == pytest.approx(estimate.value) == pytest.approx(estimate.high)


def test_a_seed_gives_the_same_and_another_one_another():
    counts = random_counts(6)
    assert bootstrap(counts, seed=1) == bootstrap(counts, seed=1)
    assert bootstrap(counts, seed=1).standard_error != bootstrap(counts, seed=2).standard_error


def test_what_was_not_seen_is_not_a_number():
    things = Categories([Category(1, "thing", True, (1, 1, 1)), Category(2, "stuff", False, (2, 2, 2))])
    seen = FoundOnImage(np.array([0]), np.array([0.8]), np.array([[1, 0, 0]]))
    nothing = FoundOnImage(np.array([], int), np.array([]), np.zeros((0, 3), int))
    counts = ImageCounts(things, [seen, nothing, nothing])
    assert math.isnan(bootstrap(counts, "pq_stuff").value)
    assert math.isnan(bootstrap(counts, "pq_stuff").standard_error)
    # Draws without the one image say nothing.
    assert bootstrap(counts, "pq").value == bootstrap(counts, "pq").low == 80


def test_wrong_arguments_are_refused():
    counts = random_counts(7)
    with pytest.raises(ValueError, match="metric='map' is none of pq, sq"):
        bootstrap(counts, "map")
    with pytest.raises(ValueError, match="at least 2 resamples, not 1"):
        bootstrap(counts, resamples=1)
    with pytest.raises(ValueError, match="none was measured"):
        bootstrap(ImageCounts(CATEGORIES, []))
    with pytest.raises(ValueError, match=r"level must lie between 0 and 1, not be 95"):
        bootstrap(counts, level=95)
    with pytest.raises(ValueError, match="measured on 40 and 39"):
        bootstrap_difference(counts, random_counts(7, images=39))
    with pytest.raises(ValueError, match=r"same images: .*category"):
        bootstrap_difference(counts, random_counts(7, categories=Categories(list(CATEGORIES)[:4])))


def test_a_measured_report_has_its_images_in_their_order():
    def truth(category, cut):
        ids = np.zeros((4, 4), np.uint8)
        ids[:, cut:] = 7
        return PanopticMap(ids, (Segment(7, category, int((ids > 0).sum())),))

    pairs = [(truth(c, 0), truth(c, cut)) for c, cut in ((1, 0), (90, 1), (30, 3))]
    quality = PanopticQuality(CATEGORIES)
    for pair in pairs:
        quality.update(*pair)
    counts = quality.compute().images
    assert len(counts) == 3
    expected = np.zeros((3, 5, 4))
    expected[0, 0] = 1, 1, 0, 0
    expected[1, 3] = 0.75, 1, 0, 0
    expected[2, 1] = 0, 0, 1, 1
    np.testing.assert_array_equal(counts.values, expected)
    # Parts add up in their order, also where their categories stand in another one.
    turned = PanopticQuality(Categories(list(CATEGORIES)[::-1]))
    turned.update(*pairs[1])
    np.testing.assert_array_equal((quality + turned).compute().images.values, expected[[0, 1, 2, 1]])
    assert value_of(counts) == bootstrap(counts, resamples=10).value
    assert value_of(counts) == pytest.approx(quality.compute().metrics()["pq"])
    np.testing.assert_array_equal(counts[1:].values, expected[1:])
    assert value_of(counts[::2], "rq_things") == 50


def test_a_single_image_tells_nothing_of_others():
    one, other = random_counts(5, images=1), random_counts(6, images=1)
    for found in (bootstrap(one), bootstrap_difference(one, other)):
        assert math.isfinite(found.value)
        assert all(map(math.isnan, (found.standard_error, found.low, found.high)))
        read = Estimate.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False)))
        assert (read.value, read.images) == (found.value, 1)
        assert math.isnan(read.low)
    assert reading(bootstrap_difference(one, other)) == "too few images to say more"
