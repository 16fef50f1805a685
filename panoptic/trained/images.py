"""The images that a trained network is used on: files and folders of them, of any kind and size."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from autopanoptic.panoptic.data.coco.images import Pixels, read_image
from autopanoptic.panoptic.data.loading.batch import Batch, collate
from autopanoptic.panoptic.data.loading.transforms import Transform

SUFFIXES = (
    ".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
"""By which images are told from other files in a folder."""


def find_images(sources: Iterable[str | Path]) -> list[Path]:
    """Return files as they are given, and in the place of a folder its images by name, without its subfolders.

    Raises:
        FileNotFoundError: If a file or folder is missing, or a folder holds no image; names it.
        ValueError: If there is no source.
    """
    found: dict[Path, Path] = {}
    for source in map(Path, sources):
        if not source.exists():
            raise FileNotFoundError(f"{source}: there is no such image or folder")
        for path in _images_in(source) if source.is_dir() else [source]:
            found.setdefault(path.resolve(), path)
    if not found:
        raise ValueError("there are no images: give files, or folders of them")
    return list(found.values())


def _images_in(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise FileNotFoundError(f"the folder {folder} holds no image ({', '.join(SUFFIXES)})")
    return found


def picture_names(images: Sequence[Path]) -> list[str]:
    """Return a PNG's name for each image, ``x.png`` for ``x.jpg``, and others where that is taken.

    Names that differ in case only are one to some file systems.
    """
    names: list[str] = []
    taken: set[str] = set()
    for path in images:
        tries = [f"{path.stem}.png", f"{path.name}.png", *(f"{path.stem}-{i}.png" for i in range(2, len(images) + 2))]
        name = next(one for one in tries if one.casefold() not in taken)
        taken.add(name.casefold())
        names.append(name)
    return names


def read_at_most(path: Path, longest: int) -> Pixels:
    """Read an image as it is to be seen, (H, W, 3) RGB, and shrink it so that no side is longer than so many pixels.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is no image, damaged, or too large to be decoded; names the file.
    """
    with warnings.catch_warnings():
        # Of images that may be too large; those that are it are refused.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        pixels = read_image(path)
    height, width = pixels.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.BOX, reducing_gap=2.0))


def batch_of(pixels: Pixels, transform: Transform, divisor: int) -> Batch:
    """Return an image without truth as a batch of its own."""
    image = transform.image(torch.from_numpy(pixels).permute(2, 0, 1), image_id=0)
    return collate([image], divisor, transform.normalization)
