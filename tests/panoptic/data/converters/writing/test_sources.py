"""What is known of a data set's files before they are decoded."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import ExifTags, Image

from autopanoptic.panoptic.data.coco.images import ORIENTATIONS, Orientation, read_image
from autopanoptic.panoptic.data.converters.writing.sources import image_size


@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff"])
@pytest.mark.parametrize("turned", range(1, 9))
def test_sizes_are_those_of_the_decoded_images(tmp_path: Path, suffix: str, turned: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = turned
    Image.new("RGB", (6, 4)).save(tmp_path / f"a.{suffix}", exif=exif)
    for orientation in ORIENTATIONS:
        _compare(tmp_path / f"a.{suffix}", orientation)


def _compare(path: Path, orientation: Orientation) -> None:
    assert image_size(path, orientation) == read_image(path, orientation).shape[:2]
