import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autopanoptic.panoptic.data.coco.reader import Sample, mask_boxes
from autopanoptic.panoptic.data.loading.colors import jitter_colors
from autopanoptic.panoptic.data.loading.transforms import CAFFE_BGR, IMAGENET, Normalization, Transform


class Fixed:
    """A generator with a given order and the upper end of every range."""

    def __init__(self, order):
        self.order = order

    def permutation(self, count):
        assert count == len(self.order)
        return self.order

    def uniform(self, low, high):
        return high


def sample(height, width, seed=0, instances=3):
    rng = np.random.default_rng(seed)
    owner = rng.integers(0, instances + 2, (height, width))
    masks = owner == np.arange(1, instances + 1).reshape(-1, 1, 1)
    masks = masks[masks.any((1, 2))] if instances else masks
    semantic = np.where(owner == 0, 255, np.where(owner > instances, 3, 0)).astype(np.uint8)
    return Sample(
        image=torch.from_numpy(rng.integers(0, 256, (3, height, width), dtype=np.uint8)),
        boxes=torch.from_numpy(mask_boxes(masks)),
        labels=torch.arange(1, len(masks) + 1),
        masks=torch.from_numpy(masks),
        semantic=torch.from_numpy(semantic),
        image_id=5,
    )


@pytest.mark.parametrize(
    ("short", "long", "size", "expected"),
    [
        (800, 1333, (480, 640), (800, 1067)),
        (800, 1333, (640, 480), (1067, 800)),
        (800, 1333, (200, 640), (417, 1333)),
        (None, None, (37, 91), (37, 91)),
        (None, 50, (200, 100), (50, 25)),
        (None, 500, (200, 100), (200, 100)),
        (100, None, (1, 3), (100, 300)),
        (4, 10, (1000, 10), (10, 1)),
    ],
)
def test_sizes(short, long, size, expected):
    assert Transform(short, long).size(*size) == expected


def test_without_resizing_only_the_image_is_normalised():
    given_sample = sample(6, 7)
    example = Transform(None, None)(given_sample)
    mean, std = torch.tensor(IMAGENET.mean).view(3, 1, 1), torch.tensor(IMAGENET.std).view(3, 1, 1)
    assert torch.allclose(example.image * std + mean, given_sample.image / 255, atol=1e-6)
    for name in ("boxes", "labels", "masks", "semantic", "image_id"):
        assert np.array_equal(getattr(example, name), getattr(given_sample, name))
    assert example.original_size == (6, 7)


def test_reference_normalisation_is_bgr_minus_mean():
    image = torch.tensor([10, 20, 30], dtype=torch.uint8).view(3, 1, 1)
    assert torch.allclose(CAFFE_BGR(image).flatten(), torch.tensor([30 - 102.9801, 20 - 115.9465, 10 - 122.7717]))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.integers(1, 20),
    st.integers(1, 30),
    st.integers(0, 3),
    st.integers(0, 99),
)
def test_resized_targets_fit_together(height, width, short, long, instances, seed):
    transform = Transform(short, long)
    example = transform(sample(height, width, seed, instances))
    size = transform.size(height, width)
    assert example.image.shape == (3, *size)
    assert example.masks.shape == (len(example.boxes), *size)
    assert len(example.boxes) == len(example.labels)
    assert example.semantic.shape == size
    assert example.masks.flatten(1).any(1).all()
    # Masks and the semantic map are sampled at the same points, so instances stay on thing pixels.
    assert not (example.masks.any(0) & (example.semantic != 0)).any()
    if len(example.boxes):
        sides = example.boxes[:, 2:] - example.boxes[:, :2]
        tight = torch.from_numpy(mask_boxes(example.masks.numpy()))
        assert (sides > 0).all()
        # Every mask pixel has its centre in the box; the box may be larger, where parts vanished.
        assert (tight[:, :2] + 0.5 >= example.boxes[:, :2] - 1e-4).all()
        assert (tight[:, 2:] - 0.5 <= example.boxes[:, 2:] + 1e-4).all()


def test_instances_that_vanish_are_dropped():
    masks = torch.zeros(2, 64, 64, dtype=torch.bool)
    masks[0, 0, 0] = True
    masks[1, 20:50, 10:60] = True
    thing = Sample(
        image=torch.zeros(3, 64, 64, dtype=torch.uint8),
        boxes=torch.from_numpy(mask_boxes(masks.numpy())),
        labels=torch.tensor([1, 2]),
        masks=masks,
        semantic=torch.zeros(64, 64, dtype=torch.uint8),
        image_id=1,
    )
    example = Transform(8, 8)(thing)
    assert example.labels.tolist() == [2]
    assert example.masks.shape == (1, 8, 8)
    assert example.boxes.tolist() == [[1.25, 2.5, 7.5, 6.25]]


def test_flip_mirrors_everything_and_twice_is_the_identity():
    plain = Transform(None, None)(sample(5, 9))
    rng = np.random.default_rng(0)
    flipped = Transform(None, None, flip=1.0)(sample(5, 9), rng)
    assert torch.equal(flipped.image, plain.image.flip(2))
    assert torch.equal(flipped.masks, plain.masks.flip(2))
    assert torch.equal(flipped.semantic, plain.semantic.flip(1))
    assert torch.equal(flipped.boxes, torch.from_numpy(mask_boxes(flipped.masks.numpy())))


def test_flips_follow_probability_and_generator():
    base = sample(3, 4)
    plain = Transform(None, None)(base).image

    def flips(probability, seeds):
        transform = Transform(None, None, flip=probability)
        return [not torch.equal(transform(base, np.random.default_rng(s)).image, plain) for s in seeds]

    assert flips(0.5, range(200)) == flips(0.5, range(200))
    assert 70 < sum(flips(0.5, range(200))) < 130
    assert not any(flips(0, range(20)))
    assert all(flips(1, range(20)))
    assert torch.equal(Transform(None, None, flip=1)(base).image, plain)  # no generator, no randomness


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"flip": 1.5}, "flip=1.5 is no probability"),
        ({"short_side": 0}, "short_side=0: a length"),
        ({"long_side": -3}, "long_side=-3: a length"),
    ],
)
def test_bad_options(arguments, message):
    with pytest.raises(ValueError, match=message):
        Transform(**arguments)


def test_bad_normalisation():
    with pytest.raises(ValueError, match="must be positive"):
        Normalization((0, 0, 0), (1, 0, 1))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.integers(1, 20),
    st.tuples(st.floats(0.2, 2), st.floats(0.2, 2)).map(sorted),
    st.integers(0, 3),
    st.integers(0, 99),
)
def test_scaled_and_cropped_targets_fit_together(height, width, short, factors, instances, seed):
    transform = Transform(short, None, scale_jitter=tuple(factors))
    example = transform(sample(height, width, seed, instances), np.random.default_rng(seed))
    size, most = example.image.shape[1:], transform.size(height, width)
    assert all(side <= limit for side, limit in zip(size, most, strict=True))
    assert example.masks.shape == (len(example.labels), *size)
    assert example.semantic.shape == size
    assert example.masks.flatten(1).any(1).all()
    assert not (example.masks.any(0) & (example.semantic != 0)).any()
    assert (example.boxes[:, 2:] > example.boxes[:, :2]).all()
    assert (example.boxes <= torch.tensor([size[1], size[0]] * 2) + 1e-4).all()


def test_a_crop_cuts_image_boxes_and_masks_at_one_place():
    given_sample = sample(8, 8, instances=1)
    given_sample.masks[0] = False
    given_sample.masks[0, 2:5, 3:6] = True
    given_sample.image[:] = 10 * torch.arange(8, dtype=torch.uint8).view(8, 1) + torch.arange(8, dtype=torch.uint8)
    transform = Transform(None, None, flip=0.0, scale_jitter=(2.0, 2.0))
    seen = set()
    for seed in range(20):
        example = transform(given_sample, np.random.default_rng(seed))
        assert example.image.shape == (3, 8, 8)
        if not len(example.boxes):
            continue
        (box,), (mask,) = example.boxes.long().tolist(), example.masks
        x1, y1, x2, y2 = box
        # The box is tight around what is left of the mask.
        assert mask[y1:y2, x1:x2].any(0).all()
        assert mask[y1:y2, x1:x2].any(1).all()
        assert mask.sum() == mask[y1:y2, x1:x2].sum()
        seen.add((x1, y1))
    assert len(seen) > 3  # the place is random


def test_smaller_images_stay_small():
    example = Transform(8, None, flip=0.0, scale_jitter=(0.5, 0.5))(sample(16, 16), np.random.default_rng(0))
    assert example.image.shape == (3, 4, 4)


@pytest.mark.parametrize("change", ["brightness", "contrast", "saturation", "hue"])
def test_colours_change_by_the_draw_and_only_where_there_is_randomness(change):
    given_sample = sample(6, 7)
    plain, transform = Transform(None, None, flip=0.0), Transform(None, None, flip=0.0, **{change: 0.4})
    assert torch.equal(transform(given_sample).image, plain(given_sample).image)
    images = [transform(given_sample, np.random.default_rng(seed)).image for seed in (0, 0, 1)]
    assert torch.equal(images[0], images[1])
    assert not torch.equal(images[0], images[2])
    assert not torch.equal(images[0], plain(given_sample).image)


def test_the_draw_decides_the_order_of_the_changes():
    image = torch.full((3, 4, 4), 100, dtype=torch.uint8)
    image[:, 0] = 140
    # Doubled brightness saturates before a doubled contrast spreads values, or after.
    found = {tuple(jitter_colors(image, Fixed(order), brightness=1.0, contrast=1.0).flatten().tolist())
             for order in ([0, 1], [1, 0])}  # fmt: skip
    assert len(found) == 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"flip": 1.5}, "flip=1.5 is no probability"),
        ({"scale_jitter": (0.0, 1.0)}, "scale_jitter"),
        ({"saturation": 2.0}, "saturation=2.0 must lie in 0..1"),
        ({"hue": -0.1}, "hue=-0.1 must lie in 0..0.5"),
    ],
)
def test_augmentation_out_of_range_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Transform(**fields)
