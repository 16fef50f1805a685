"""Folders of images by class: what is refused, and the batches that are drawn from them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from autopanoptic.panoptic.data.loading.normalization import CAFFE_BGR, IMAGENET, Normalization
from autopanoptic.panoptic.data.loading.sampler import Draw
from autopanoptic.panoptic.data.problems import DatasetError
from autopanoptic.panoptic.pretraining.images import ImageClasses, check_images, open_images
from autopanoptic.panoptic.pretraining.loading import ImageBatches, ordered_batches, random_batches
from autopanoptic.panoptic.pretraining.recipe import PretrainingRecipe
from autopanoptic.panoptic.training.hardware import Hardware
from tests.panoptic.pretraining.conftest import CLASSES, write_image, write_set
from tests.pretended_gpu import GPU, PretendedGpu


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_set(tmp_path / "set")


def test_a_set_has_its_classes_in_order(images: ImageClasses) -> None:
    assert images.classes == list(CLASSES)
    assert (len(images.train), len(images.val)) == (18, 12)
    told: list[tuple[int, int]] = []
    check_images(images, lambda done, total: told.append((done, total)))
    assert told[-1] == (30, 30)


def test_missing_folders_are_named(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere: there is no such folder; give one with train/CLASS/"):
        open_images(folder / "nowhere")
    shutil.rmtree(folder / "val")
    with pytest.raises(FileNotFoundError, match=r"val: there is no such folder; .* must hold train/ and val/"):
        open_images(folder)


def test_folders_without_classes_are_refused(folder: Path) -> None:
    for split in ("train", "val"):
        shutil.rmtree(folder / split)
        (folder / split).mkdir()
    write_image(folder / "train" / "a.png", 0, 0)
    with pytest.raises(DatasetError) as error:
        open_images(folder)
    assert "train holds no class folders, but 1 files, such as a.png; it needs one folder" in str(error.value)
    assert "val holds no class folders, but nothing at all" in str(error.value)


def test_one_class_alone_is_refused(folder: Path) -> None:
    for split in ("train", "val"):
        for name in CLASSES[1:]:
            shutil.rmtree(folder / split / name)
    with pytest.raises(DatasetError, match="holds one class alone, blue; there is nothing to tell apart"):
        open_images(folder)


def test_empty_and_missing_classes_are_named(folder: Path) -> None:
    for path in (folder / "train" / "red").iterdir():
        path.rename(path.with_suffix(".txt"))
    shutil.rmtree(folder / "val" / "green")
    (folder / "val" / "green").mkdir()
    with pytest.raises(DatasetError) as error:
        open_images(folder)
    assert error.value.problems[0].startswith(f"{folder / 'train' / 'red'} holds no image (.jpg, .jpeg, .png")
    assert error.value.problems[1].startswith(f"{folder / 'val' / 'green'} holds no image")
    shutil.rmtree(folder / "val" / "green")
    for path in (folder / "train" / "red").iterdir():
        path.rename(path.with_suffix(".png"))
    with pytest.raises(DatasetError, match="hold other classes; not in both: green"):
        open_images(folder)


def test_corrupt_images_are_named(folder: Path, recipe: PretrainingRecipe) -> None:
    broken = folder / "train" / "red" / "2.png"
    broken.write_bytes(broken.read_bytes()[:200])
    (folder / "val" / "blue" / "1.png").write_bytes(b"")
    images = open_images(folder)
    with pytest.raises(DatasetError) as error:
        check_images(images)
    assert [problem.split(":")[0] for problem in error.value.problems] == [
        str(broken), str(folder / "val" / "blue" / "1.png")
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"red/2\.png: cannot be decoded"):
        list(random_batches(images.train, recipe, 0, 0, 3))


def test_a_batch_depends_on_seed_and_step_alone(images: ImageClasses, recipe: PretrainingRecipe) -> None:
    whole = list(random_batches(images.train, recipe, 3, 0, 4))
    late = list(random_batches(images.train, recipe, 3, 2, 4, workers=1))
    for one, same in zip(whole[2:], late, strict=True):
        assert torch.equal(one.images, same.images)
        assert torch.equal(one.labels, same.labels)
    assert whole[0].images.shape == (6, 3, 32, 32)
    assert sorted(torch.cat([batch.labels for batch in whole[:3]]).tolist()) == [0] * 6 + [1] * 6 + [2] * 6
    other = list(random_batches(images.train, recipe, 4, 0, 4))
    assert not any(torch.equal(a.pixels, b.pixels) for a, b in zip(whole, other, strict=True))
    parts = [next(iter(random_batches(images.train, recipe, 3, 0, 1, rank=rank, world=2))) for rank in (0, 1)]
    assert torch.equal(torch.stack([part.pixels for part in parts], dim=1).flatten(0, 1), whole[0].pixels)


def test_augmentation_leaves_the_global_generator_alone(images: ImageClasses, recipe: PretrainingRecipe) -> None:
    drawn = random_batches(images.train, recipe, 3, 0, 1).dataset
    before = torch.random.get_rng_state()
    one = drawn[Draw(0, (3, 1, 2))]  # type: ignore[index]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(drawn[Draw(0, (3, 1, 2))][0], one[0])  # type: ignore[index]
    assert not torch.equal(drawn[Draw(0, (3, 1, 3))][0], one[0])  # type: ignore[index]


def test_val_is_seen_once_in_order_and_the_same_each_time(images: ImageClasses, recipe: PretrainingRecipe) -> None:
    first, again = (list(ordered_batches(images.val, replace(recipe, batch_size=5))) for _ in range(2))
    assert torch.cat([batch.labels for batch in first]).tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert all(torch.equal(a.images, b.images) for a, b in zip(first, again, strict=True))
    blue = torch.cat([batch.images for batch in first])[:4].mean(dim=(0, 2, 3))
    assert blue.argmax() == 2


@pytest.mark.parametrize("normalization", [IMAGENET, CAFFE_BGR])
def test_bytes_travel_and_are_normalised_on_the_device(
    normalization: Normalization, images: ImageClasses, recipe: PretrainingRecipe
) -> None:
    drawn = random_batches(images.train, recipe, 3, 0, 1, normalization=normalization)
    batch = next(iter(drawn))
    assert (batch.pixels.dtype, len(batch)) == (torch.uint8, 6)
    pixels = batch.pixels.flip(1).float() if normalization is CAFFE_BGR else batch.pixels.float()
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (normalization.mean, normalization.std))
    torch.testing.assert_close(batch.images, (pixels - mean) / std)
    with PretendedGpu() as gpu:
        data = ImageBatches(images.train, recipe, Hardware(), 0)
        sent = data.transfer_batch_to_device(batch.pin_memory(), GPU, 0)
        assert {one.device for one in (sent.pixels, sent.labels, sent.images)} == {GPU}
        assert not +gpu.waits
    torch.testing.assert_close(sent.images.inner, batch.images)
