"""Images are found, named and read, whatever they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.trained.images import batch_of, find_images, picture_names, read_at_most


def test_folders_give_their_images_by_name(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "notes.txt", "c.tiff"):
        (tmp_path / name).touch()
    (tmp_path / "deeper.png").mkdir()
    found = find_images([tmp_path / "c.tiff", tmp_path])
    assert [path.name for path in found] == ["c.tiff", "a.png", "b.JPG"]  # each once
    assert find_images([tmp_path / "notes.txt"]) == [tmp_path / "notes.txt"]  # what is named is taken


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png: there is no such image"):
        find_images([tmp_path / "nowhere.png"])
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileNotFoundError, match=r"holds no image \(\.bmp"):
        find_images([tmp_path])
    with pytest.raises(ValueError, match="there are no images"):
        find_images([])


def test_pictures_have_names_of_their_own() -> None:
    paths = [Path(name) for name in ("x/a.jpg", "x/a.png", "y/a.jpg", "y/A.jpg", "x/b.jpg", "z/a.jpg")]
    names = picture_names(paths)
    assert names == ["a.png", "a.png.png", "a.jpg.png", "A-2.png", "b.png", "a-3.png"]
    assert len({name.casefold() for name in names}) == len(paths)


def test_images_are_shrunk_to_the_longest_side(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("L", (3000, 200), 90).save(path)
    pixels = read_at_most(path, 300)
    assert pixels.shape == (20, 300, 3)
    assert np.all(pixels == 90)
    assert read_at_most(path, 3000).shape == (200, 3000, 3)
    Image.new("RGB", (2000, 1)).save(path)
    assert read_at_most(path, 100).shape == (1, 100, 3)


def test_a_batch_is_what_the_transform_makes_of_the_image() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    batch = batch_of(pixels, Transform(60, None, flip=0.0), 32)
    assert batch.images.shape == (1, 3, 64, 128)
    assert (batch.sizes, batch.original_sizes) == ([(60, 100)], [(30, 50)])
