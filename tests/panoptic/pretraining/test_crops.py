"""Crops of things and stuff as a classification set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.problems import DatasetError
from autopanoptic.panoptic.pretraining.crops import CropRules, _window_sums, class_folder, write_crops
from autopanoptic.panoptic.pretraining.images import open_images

RULES = CropRules(least_side=8, window=0.25)


def files(folder: Path) -> Mapping[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


def test_crops_show_what_their_folder_says(datasets: Datasets, tmp_path: Path) -> None:
    folder = write_crops(datasets, tmp_path / "crops", RULES, seed=1)
    found = open_images(folder)
    by_name = {class_folder(category): category for category in datasets.train.categories}
    assert set(found.classes) <= set(by_name)
    kinds = {by_name[name].isthing for name in found.classes}
    assert kinds == {True, False}
    for path, label in found.train.samples:
        category = by_name[found.classes[label]]
        sample = datasets.train[int(Path(path).name[:7])]
        crop = np.array(Image.open(path))
        assert crop.shape[2] == 3
        place = _place(sample.image.permute(1, 2, 0).numpy(), crop)
        part = sample.truth.semantic.numpy()[place]
        if category.isthing:
            labels = sample.truth.labels.numpy() == datasets.train.categories.things.index(category) + 1
            assert sample.truth.masks.numpy()[labels][(slice(None), *place)].any()
        else:
            assert (part == datasets.train.categories.stuff.index(category) + 1).mean() >= RULES.filled
            assert part.shape == (16, 16)


def _place(image: npt.NDArray[np.uint8], crop: npt.NDArray[np.uint8]) -> tuple[slice, slice]:
    height, width = crop.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(image, crop.shape)[:, :, 0]
    top, left = np.argwhere((windows == crop).all(axis=(2, 3, 4)))[0]
    return slice(top, top + height), slice(left, left + width)


def test_crops_are_the_same_for_the_same_seed_and_made_once(datasets: Datasets, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    first = write_crops(datasets, tmp_path / "a", RULES, seed=1, progress=lambda *far: told.append(far))
    assert told[-1] == (12, 12)
    again = write_crops(datasets, tmp_path / "b", RULES, seed=1)
    assert files(first) == files(again)
    assert files(first) != files(write_crops(datasets, tmp_path / "c", RULES, seed=2))
    one = next(first.rglob("*.png"))
    one.unlink()
    write_crops(datasets, tmp_path / "a", RULES, seed=1)
    assert not one.exists()
    with pytest.raises(ValueError, match="a holds no crops of this data and seed by these rules; delete it"):
        write_crops(datasets, tmp_path / "a", RULES, seed=2)
    assert not list(tmp_path.glob("*.partial"))


def test_too_few_classes_are_refused(datasets: Datasets, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="0 classes have crops in train and in val; at least 2 are needed"):
        write_crops(datasets, tmp_path / "crops", CropRules(least_side=500, window=1.0, filled=1.0))
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"margin=0\.5.* must be at least 1"):
        CropRules(margin=0.5)


def test_window_sums() -> None:
    mask = np.random.default_rng(0).random((7, 9)) < 0.5
    windows = np.lib.stride_tricks.sliding_window_view(mask, (3, 3))
    assert np.array_equal(_window_sums(mask, 3), windows.sum(axis=(2, 3)))
