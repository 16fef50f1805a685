import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from autopanoptic.panoptic.data.coco.reader import Sample
from autopanoptic.panoptic.data.label_map import LabelMap, extents_of
from autopanoptic.panoptic.data.loading.colors import jitter_colors
from autopanoptic.panoptic.data.loading.normalization import CAFFE_BGR, IMAGENET, Normalization
from autopanoptic.panoptic.data.loading.transforms import Transform


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
    owner = rng.integers(0, instances + 2, (height, width)).astype(np.uint8)
    return Sample(
        torch.from_numpy(rng.integers(0, 256, (3, height, width), dtype=np.uint8)), labelled(owner, instances), 5
    )


def labelled(owner, instances):
    """Things 1 to `instances`, those without pixels left out; what is above them is stuff of label 3."""
    extents = extents_of(owner, instances)
    seen = np.flatnonzero(extents[:, 2])
    return LabelMap(
        numbers=torch.from_numpy(owner),
        semantic_labels=torch.tensor([255] + [0] * instances + [3], dtype=torch.uint8),
        things=torch.from_numpy(seen) + 1,
        labels=torch.from_numpy(seen) + 1,
        boxes=torch.from_numpy(extents[seen].astype(np.float32)),
    )


def tight(masks):
    """Boxes of masks that are not empty."""
    return torch.stack([torch.stack([
        mask.any(0).nonzero().min(), mask.any(1).nonzero().min(), mask.any(0).nonzero().max() + 1,
        mask.any(1).nonzero().max() + 1,
    ]) for mask in masks]).float()  # fmt: skip


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


def test_without_resizing_nothing_changes():
    given_sample = sample(6, 7)
    example = Transform(None, None)(given_sample)
    assert torch.equal(example.image, given_sample.image)
    for name in ("numbers", "semantic_labels", "things", "labels", "boxes"):
        assert torch.equal(getattr(example.truth, name), getattr(given_sample.truth, name))
    assert (example.image_id, example.size, example.original_size) == (5, (6, 7), (6, 7))


@pytest.mark.parametrize("normalization", [IMAGENET, CAFFE_BGR])
def test_normalisation_is_by_channel_in_any_shape(normalization):
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 5, 7), dtype=np.uint8))
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (normalization.mean, normalization.std))
    expected = ((images.flip(1) if normalization.order == "bgr" else images) - mean) / std
    for same in (images, images.contiguous(memory_format=torch.channels_last)):
        found = normalization(same)
        assert torch.equal(found, expected)
        assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(normalization(images[:, :, 1:4, 2:]), expected[:, :, 1:4, 2:])
    assert torch.equal(normalization(images[0]), normalization(images)[0])


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
    truth = example.truth
    assert truth.masks.shape == (len(truth.boxes), *size)
    assert len(truth.boxes) == len(truth.labels) == len(truth.things)
    assert truth.semantic.shape == size
    assert truth.masks.flatten(1).any(1).all()
    # Masks and the semantic map are of the same map, so instances stay on thing pixels.
    assert not (truth.masks.any(0) & (truth.semantic != 0)).any()
    if len(truth.boxes):
        sides, least = truth.boxes[:, 2:] - truth.boxes[:, :2], tight(truth.masks)
        assert (sides > 0).all()
        # Every mask pixel has its centre in the box; the box may be larger, where parts vanished.
        assert (least[:, :2] + 0.5 >= truth.boxes[:, :2] - 1e-4).all()
        assert (least[:, 2:] - 0.5 <= truth.boxes[:, 2:] + 1e-4).all()


def test_instances_that_vanish_are_dropped():
    owner = np.zeros((64, 64), np.uint8)
    owner[0, 0] = 1
    owner[20:50, 10:60] = 2
    truth = Transform(8, 8)(Sample(torch.zeros(3, 64, 64, dtype=torch.uint8), labelled(owner, 2), 1)).truth
    assert truth.labels.tolist() == truth.things.tolist() == [2]
    assert truth.masks.shape == (1, 8, 8)
    assert truth.boxes.tolist() == [[1.25, 2.5, 7.5, 6.25]]


def test_flip_mirrors_everything_and_twice_is_the_identity():
    plain = Transform(None, None)(sample(5, 9))
    rng = np.random.default_rng(0)
    flipped = Transform(None, None, flip=1.0)(sample(5, 9), rng)
    assert torch.equal(flipped.image, plain.image.flip(2))
    assert torch.equal(flipped.truth.masks, plain.truth.masks.flip(2))
    assert torch.equal(flipped.truth.semantic, plain.truth.semantic.flip(1))
    assert torch.equal(flipped.truth.boxes, tight(flipped.truth.masks))


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
    for arguments, message in (
        (((0, 0, 0), (1, 0, 1)), r"std must hold positive numbers, not \[1, 0, 1\]"),
        (((0, 0), (1, 1, 1)), r"must hold 3 numbers each, not \[0, 0\]"),
        (((0, 0, 0), (1, 1, 1), "gbr"), "order must be one of rgb, bgr, not 'gbr'"),
        (((1, 2, 3), IMAGENET.std, "bgr"), r"std .* order is bgr: give mean and std .* such as \[57\.375, 57\.12, 58"),
        ((IMAGENET.mean, (1, 1, 1), "bgr"), r"order is bgr: give mean and std .* such as \[103\.53, 116\.28, 123"),
    ):
        with pytest.raises(ValueError, match=message):
            Normalization(*arguments)


def test_normalised_floats_leave_their_images_as_they_are():
    images = torch.rand(3, 4, 5).contiguous(memory_format=torch.contiguous_format).permute(1, 2, 0).contiguous()
    images = images.permute(2, 0, 1)
    before = images.clone()
    IMAGENET(images)
    assert torch.equal(images, before)


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
    size, most, truth = example.size, transform.size(height, width), example.truth
    assert all(side <= limit for side, limit in zip(size, most, strict=True))
    assert truth.masks.shape == (len(truth.labels), *size)
    assert truth.semantic.shape == size
    assert truth.masks.flatten(1).any(1).all()
    assert not (truth.masks.any(0) & (truth.semantic != 0)).any()
    assert (truth.boxes[:, 2:] > truth.boxes[:, :2]).all()
    assert (truth.boxes <= torch.tensor([size[1], size[0]] * 2) + 1e-4).all()


def test_a_crop_cuts_image_boxes_and_masks_at_one_place():
    owner = np.zeros((8, 8), np.uint8)
    owner[2:5, 3:6] = 1
    given_sample = Sample(torch.zeros(3, 8, 8, dtype=torch.uint8), labelled(owner, 1), 5)
    given_sample.image[:] = 10 * torch.arange(8, dtype=torch.uint8).view(8, 1) + torch.arange(8, dtype=torch.uint8)
    transform = Transform(None, None, flip=0.0, scale_jitter=(2.0, 2.0))
    seen = set()
    for seed in range(20):
        example = transform(given_sample, np.random.default_rng(seed))
        assert example.image.shape == (3, 8, 8)
        if not len(example.truth.boxes):
            continue
        (box,), (mask,) = example.truth.boxes.long().tolist(), example.truth.masks
        x1, y1, x2, y2 = box
        # The box is tight around what is left of the mask.
        assert mask[y1:y2, x1:x2].any(0).all()
        assert mask[y1:y2, x1:x2].any(1).all()
        assert mask.sum() == mask[y1:y2, x1:x2].sum()
        seen.add((x1, y1))
    assert len(seen) > 3  # the place is random


def placed(given_sample, transform, rng):
    """What a transform does, by the definition: with a mask for each thing and a semantic map, all resized alike."""
    height, width = given_sample.truth.size
    size = transform.size(height, width)
    flips = rng.random() < transform.flip
    factor = rng.uniform(*transform.scale_jitter)
    scaled = [max(round(side * factor), 1) for side in size]
    image = functional.resize(given_sample.image, scaled, InterpolationMode.BILINEAR, antialias=True)
    rows, columns = (
        ((torch.arange(new) + 0.5) * (old / new)).long() for new, old in zip(scaled, (height, width), strict=True)
    )
    planes = [given_sample.truth.masks[:, rows][:, :, columns], given_sample.truth.semantic[rows][:, columns][None]]
    boxes = given_sample.truth.boxes * torch.tensor([scaled[1] / width, scaled[0] / height] * 2)
    top, left = (int(rng.integers(max(side - most, 0) + 1)) for side, most in zip(scaled, size, strict=True))
    image, masks, semantic = (x[:, top : top + size[0], left : left + size[1]] for x in (image, *planes))
    seen = masks.flatten(1).any(1)
    if list(image.shape[1:]) != scaled:
        boxes[seen] = tight(masks[seen]) if seen.any() else boxes[seen]
    if flips:
        image, masks, semantic = (x.flip(2) for x in (image, masks, semantic))
        boxes = torch.stack([image.shape[2] - boxes[:, 2], boxes[:, 1], image.shape[2] - boxes[:, 0], boxes[:, 3]], 1)
    return image, masks[seen], semantic[0], boxes[seen], given_sample.truth.labels[seen]


@pytest.mark.parametrize("scale_jitter", [(1.0, 1.0), (0.4, 2.0)])
@pytest.mark.parametrize(("short", "long"), [(None, None), (23, 41), (70, None)])
def test_one_map_says_what_masks_and_a_semantic_map_say(short, long, scale_jitter):
    transform = Transform(short, long, scale_jitter=scale_jitter)
    for seed in range(6):
        given_sample = sample(30, 44, seed, instances=40)
        example = transform(given_sample, np.random.default_rng(seed))
        image, masks, semantic, boxes, labels = placed(given_sample, transform, np.random.default_rng(seed))
        assert torch.equal(example.image, image)
        assert torch.equal(example.truth.masks, masks)
        assert torch.equal(example.truth.semantic, semantic)
        assert torch.equal(example.truth.boxes, boxes)
        assert torch.equal(example.truth.labels, labels)
        alone = transform.image(given_sample.image, 5, np.random.default_rng(seed))
        assert torch.equal(alone.image, example.image)
        assert (alone.image_id, alone.original_size) == (example.image_id, example.original_size)


def test_images_one_pixel_wide_are_resized_in_bytes():
    image = torch.tensor([0, 100, 201], dtype=torch.uint8).view(1, 3, 1).expand(3, 3, 1)
    found = Transform(None, 6).image(image, 0, None)
    assert found.image.dtype == torch.uint8
    assert Transform(2, None).image(image, 0, None).image[0, :, 0].tolist() == [0, 25, 75, 125, 176, 201]


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
