from itertools import islice

import numpy as np
import pytest
import torch

from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.data.loading.batches import collate, evaluation_batches, training_batches
from autopanoptic.panoptic.data.loading.transforms import Transform

KEEP = Transform(None, None)


@pytest.fixture
def dataset(folder):
    rng = np.random.default_rng(0)
    for height, width in [(20, 33), (40, 17), (32, 32), (9, 50), (64, 30)]:
        ids = rng.integers(0, 5, (height, width))
        folder.add(ids, {1: 10, 2: 12, 3: 1, 4: 5})
    folder.add(np.ones((16, 16), int), {1: 12})
    return folder.open()


def equal(first, second):
    same = torch.equal(first.images, second.images) and torch.equal(first.semantic, second.semantic)
    targets = zip(first.targets, second.targets, strict=True)
    same &= all(torch.equal(a[key], b[key]) for a, b in targets for key in ("boxes", "labels", "masks"))
    rest = ("sizes", "original_sizes", "image_ids")
    return same and all(getattr(first, name) == getattr(second, name) for name in rest)


def test_collation_pads_to_the_divisor(dataset):
    examples = [KEEP(dataset[i]) for i in (0, 1, 5)]
    batch = collate(examples, 32)
    assert batch.images.shape == (3, 3, 64, 64)
    assert batch.images.dtype == torch.float32
    assert batch.semantic.shape == (3, 64, 64)
    assert batch.semantic.dtype == torch.uint8
    assert batch.sizes == batch.original_sizes == [(20, 33), (40, 17), (16, 16)]
    assert batch.image_ids == [1, 2, 6]
    assert len(batch) == 3
    for k, (example, (h, w)) in enumerate(zip(examples, batch.sizes, strict=True)):
        assert torch.equal(batch.images[k, :, :h, :w], example.image)
        assert torch.equal(batch.semantic[k, :h, :w], example.semantic)
        assert not batch.images[k, :, h:].any()
        assert not batch.images[k, :, :, w:].any()
        assert (batch.semantic[k, h:] == 255).all()
        assert (batch.semantic[k, :, w:] == 255).all()
        assert torch.equal(batch.targets[k]["masks"], example.masks)
    assert batch.targets[2]["boxes"].shape == (0, 4)


@pytest.mark.parametrize(("count", "divisor"), [(0, 32), (1, 0)])
def test_collation_refuses_nothing(dataset, count, divisor):
    with pytest.raises(ValueError, match=f"{count} examples, divisor={divisor}"):
        collate([KEEP(dataset[0])] * count, divisor)


def test_evaluation_batches_hold_every_image_in_order(dataset):
    loader = evaluation_batches(dataset, Transform(24, 48, flip=1.0), batch_size=4, divisor=8)
    batches = list(loader)
    assert [i for batch in batches for i in batch.image_ids] == [1, 2, 3, 4, 5, 6]
    assert batches[0].original_sizes == [(20, 33), (40, 17), (32, 32), (9, 50)]
    assert batches[0].sizes == [(24, 40), (48, 20), (24, 24), (9, 48)]
    assert batches[0].images.shape == (4, 3, 48, 48)
    assert all(equal(a, b) for a, b in zip(batches, loader, strict=True))


def training(dataset, **options):
    return training_batches(dataset, KEEP, **{"batch_size": 4, "divisor": 32, "seed": 3, **options})


@pytest.mark.parametrize("workers", [0, 2])
def test_training_resumes_at_any_step_with_any_number_of_workers(dataset, workers):
    whole = list(training(dataset, stop=8))
    rest = list(training(dataset, start=5, stop=8, workers=workers))
    assert len(rest) == 3
    assert all(equal(a, b) for a, b in zip(rest, whole[5:], strict=True))


def test_images_are_flipped_anew_each_time(dataset):
    seen = {}
    for batch in training(dataset, stop=12):
        for k, image_id in enumerate(batch.image_ids):
            h, w = batch.sizes[k]
            seen.setdefault(image_id, set()).add(batch.images[k, :, :h, :w].numpy().tobytes())
    assert sum(len(versions) == 2 for versions in seen.values()) >= 4
    assert all(len(versions) <= 2 for versions in seen.values())


def test_endless_training_and_batches_larger_than_the_set(dataset):
    batches = list(islice(training(dataset, batch_size=8), 5))
    assert [len(batch) for batch in batches] == [8] * 5


def test_moving_a_batch_moves_every_tensor(dataset):
    batch = next(iter(evaluation_batches(dataset, KEEP, batch_size=2, divisor=32)))
    moved = batch.to("meta", non_blocking=True)
    tensors = [moved.images, moved.semantic, *(value for t in moved.targets for value in t.values())]
    assert len(tensors) == 8
    assert all(tensor.is_meta for tensor in tensors)
    assert moved.sizes == batch.sizes
    assert equal(batch.to("cpu"), batch)


def test_coco_sample_at_full_size(coco_sample):
    name = "panoptic_examples"
    dataset = CocoPanoptic(coco_sample / "input_images", coco_sample / name, coco_sample / f"{name}.json")
    (batch,) = evaluation_batches(dataset, Transform(), batch_size=2, divisor=64)
    assert batch.sizes == [(800, 1199), (750, 1333)]
    assert batch.images.shape == (2, 3, 832, 1344)
    assert [len(target["labels"]) for target in batch.targets] == [14, 26]
    assert [tuple(target["masks"].shape[1:]) for target in batch.targets] == batch.sizes
