import sys
from dataclasses import fields
from functools import partial
from itertools import islice

import numpy as np
import pytest
import torch

from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.data.loading.batch import LabelledBatch, collate, collate_labelled, kept
from autopanoptic.panoptic.data.loading.batches import evaluation_batches, training_batches
from autopanoptic.panoptic.data.loading.normalization import IMAGENET
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.model.heads.mask import mask_targets

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
    each = [(getattr(first, one.name), getattr(second, one.name)) for one in fields(first)]
    return type(first) is type(second) and all(torch.equal(a, b) if torch.is_tensor(a) else a == b for a, b in each)


def test_collation_pads_to_the_divisor(dataset):
    examples = [KEEP(dataset[i]) for i in (0, 1, 5)]
    batch = collate_labelled(examples, 32, IMAGENET)
    assert batch.pixels.shape == batch.images.shape == (3, 3, 64, 64)
    assert (batch.pixels.dtype, batch.images.dtype) == (torch.uint8, torch.float32)
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in (batch.pixels, batch.images))
    assert batch.semantic.shape == (3, 64, 64)
    assert batch.semantic.dtype == torch.uint8
    assert batch.sizes == batch.original_sizes == [(20, 33), (40, 17), (16, 16)]
    assert batch.image_ids == [1, 2, 6]
    assert len(batch) == 3
    for k, (example, (h, w)) in enumerate(zip(examples, batch.sizes, strict=True)):
        assert torch.equal(batch.images[k, :, :h, :w], IMAGENET(example.image))
        assert torch.equal(batch.semantic[k, :h, :w], example.truth.semantic)
        assert not batch.images[k, :, h:].any()
        assert not batch.images[k, :, :, w:].any()
        assert (batch.semantic[k, h:] == 255).all()
        assert (batch.semantic[k, :, w:] == 255).all()
        assert torch.equal(batch.targets[k]["masks"].whole(), example.truth.masks)
        assert torch.equal(batch.targets[k]["boxes"], example.truth.boxes)
        assert torch.equal(batch.targets[k]["labels"], example.truth.labels)
    assert torch.equal(collate(examples, 32, IMAGENET).images, batch.images)
    assert batch.targets[2]["boxes"].shape == (0, 4)


@pytest.mark.parametrize(("count", "divisor"), [(0, 32), (1, 0)])
def test_collation_refuses_nothing(dataset, count, divisor):
    with pytest.raises(ValueError, match=f"{count} examples, divisor={divisor}"):
        collate([KEEP(dataset[0])] * count, divisor, IMAGENET)


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
    batch = next(iter(training(dataset)))
    moved = batch.to("meta")
    tensors = [value for one in fields(moved) if torch.is_tensor(value := getattr(moved, one.name))]
    assert len(tensors) == 6
    assert all(tensor.is_meta for tensor in tensors)
    assert moved.images.is_meta
    assert moved.sizes == batch.sizes
    assert equal(batch.to("cpu"), batch)


def test_coco_sample_at_full_size(coco_sample):
    name = "panoptic_examples"
    dataset = CocoPanoptic(coco_sample / "input_images", coco_sample / name, coco_sample / f"{name}.json")
    (batch,) = evaluation_batches(dataset, Transform(), batch_size=2, divisor=64)
    assert batch.sizes == [(800, 1199), (750, 1333)]
    assert batch.images.shape == (2, 3, 832, 1344)
    batch = collate_labelled([Transform()(dataset[i]) for i in range(2)], 64, IMAGENET)
    assert [len(target["labels"]) for target in batch.targets] == [14, 26]
    assert [tuple(target["masks"].whole().shape[1:]) for target in batch.targets] == batch.sizes
    # Four bytes a pixel, and the tables.
    assert batch.pixels.nbytes + batch.numbers.nbytes == 4 * 2 * 832 * 1344


def test_evaluation_and_recalibration_read_no_truth(dataset, monkeypatch):
    with_truth = list(training(dataset, stop=3))
    monkeypatch.setattr(CocoPanoptic, "coded_ids", None)
    evaluated = list(evaluation_batches(dataset, KEEP, batch_size=4, divisor=32))
    drawn = list(training(dataset, stop=3, labelled=False))
    assert not any(isinstance(batch, LabelledBatch) for batch in [*evaluated, *drawn])
    assert all(torch.equal(a.images, b.images) and a.sizes == b.sizes for a, b in zip(drawn, with_truth, strict=True))
    with pytest.raises(TypeError):
        next(iter(training(dataset)))


AUGMENTED = Transform(40, 60, scale_jitter=(0.5, 1.5), brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_processes_parts_are_one_processes_batches(dataset, workers):
    made = partial(training_batches, dataset, AUGMENTED, batch_size=4, divisor=32, seed=5, stop=6)
    whole = list(made())
    parts = [list(made(rank=rank, world=2, workers=workers)) for rank in range(2)]
    for step, batch in enumerate(whole):
        for place, image_id in enumerate(batch.image_ids):
            part, own = parts[place % 2][step], place // 2
            assert part.image_ids[own] == image_id
            height, width = part.sizes[own]
            assert part.sizes[own] == batch.sizes[place]
            for name in ("images", "semantic"):
                values = (getattr(one, name)[k, ..., :height, :width] for one, k in ((part, own), (batch, place)))
                assert torch.equal(*values)
            mine, all_of_them = part.targets[own], batch.targets[place]
            assert torch.equal(mine["boxes"], all_of_them["boxes"])
            assert torch.equal(mine["labels"], all_of_them["labels"])
            assert torch.equal(mine["masks"].whole(), all_of_them["masks"].whole())
        assert sum(len(part[step]) for part in parts) == len(batch) == 4


def test_images_of_very_many_segments(folder):
    ids = np.arange(1, 20 * 30 + 1).reshape(20, 30)
    folder.add(ids, dict.fromkeys(range(1, 601), 1)).add(np.ones((20, 30), int), {1: 12})
    dataset = folder.open()
    batch = collate_labelled([KEEP(dataset[0]), KEEP(dataset[1])], 8, IMAGENET)
    assert batch.numbers.dtype == torch.int32
    assert torch.equal(batch.targets[0]["masks"].whole().int().argmax(0), torch.from_numpy(ids - 1))
    assert batch.semantic[1].unique().tolist() == [2, 255]


def test_workers_inherit_the_compiled_code(dataset, monkeypatch):
    name = "autopanoptic.panoptic.data.extents"
    monkeypatch.delitem(sys.modules, name, raising=False)
    training(dataset, stop=1)
    assert name not in sys.modules
    training(dataset, stop=1, workers=1)
    assert name in sys.modules


def test_nothing_made_on_the_device_waits_for_its_values(dataset):
    # A meta tensor has none: whatever asks for one raises.
    batch = next(iter(training(dataset))).to("meta")
    assert batch.images.shape == batch.pixels.shape
    assert batch.semantic.shape == batch.numbers.shape
    for target in batch.targets:
        boxes = target["boxes"]
        things = torch.zeros(len(boxes), dtype=torch.int64, device="meta")
        assert mask_targets(target["masks"], things, boxes, 28, aligned=True).shape == (len(boxes), 28, 28)


def test_kept_batches_of_worker_processes_are_not_in_shared_memory(dataset):
    loader = evaluation_batches(dataset, KEEP, batch_size=2, divisor=32, workers=1)
    assert all(batch.pixels.is_shared() for batch in loader)
    found, alone = kept(loader), evaluation_batches(dataset, KEEP, batch_size=2, divisor=32)
    assert not any(batch.pixels.is_shared() for batch in found)
    assert all(batch.pixels.is_contiguous(memory_format=torch.channels_last) for batch in found)
    assert all(equal(*pair) for pair in zip(found, alone, strict=True))
