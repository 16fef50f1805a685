"""Tiny classification sets and recipes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autopanoptic.panoptic.pretraining.images import ImageClasses, open_images
from autopanoptic.panoptic.pretraining.recipe import PretrainingRecipe

CLASSES = ("blue", "green", "red")


def write_image(path: Path, channel: int, seed: int, size: tuple[int, int] = (40, 48)) -> None:
    """Noise in which one channel is bright."""
    pixels = np.random.default_rng(seed).integers(0, 90, (*size, 3), dtype=np.uint8)
    pixels[:, :, channel] += 150
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_set(root: Path) -> Path:
    for split, count in (("train", 6), ("val", 4)):
        for channel, name in enumerate(reversed(CLASSES)):
            for index in range(count):
                write_image(root / split / name / f"{index}.png", channel, index)
    return root


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="session")
def images(image_folder: Path) -> ImageClasses:
    return open_images(image_folder)


@pytest.fixture(scope="session")
def recipe() -> PretrainingRecipe:
    return PretrainingRecipe(
        4, batch_size=6, optimizer="adamw", learning_rate=3e-3, image_size=32, least_area=0.5, tail_width=16, bins=2,
        validated_paths=2, recalibration_batches=1,
    )  # fmt: skip
