"""The real samples, and small data sets in the layouts of their releases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from autopanoptic.panoptic.data.coco.panoptic_png import read_ids

SHARED = Path(__file__).resolve().parents[5] / "shared" / "data" / "panoptic"


def sample(name: str) -> Path:
    if not (SHARED / name).is_dir():
        pytest.skip(f"the real sample is not at {SHARED / name}")
    return SHARED / name


@pytest.fixture(scope="session")
def cityscapes_sample() -> Path:
    return sample("cityscapes_sample")


@pytest.fixture(scope="session")
def ade20k_sample() -> Path:
    return sample("ade20k_sample")


Saver = Callable[[Path, npt.NDArray[np.integer]], Path]


@pytest.fixture(scope="session")
def save() -> Saver:
    """Writes an array as an image, with the folders that it needs."""

    def write(path: Path, values: npt.NDArray[np.integer]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(path)
        return path

    return write


@pytest.fixture(scope="session")
def noise(save: Saver) -> Callable[[Path, int, int], Path]:
    """Writes an image of a height and a width."""

    def write(path: Path, height: int, width: int) -> Path:
        pixels = np.random.default_rng(len(path.name)).integers(0, 256, (height, width, 3), dtype=np.uint8)
        return save(path, pixels)

    return write


@pytest.fixture(scope="session")
def semantics() -> Callable[[Path, dict], npt.NDArray[np.int64]]:
    """Gives the category of each pixel of a written PNG, -1 for void."""

    def read(png: Path, annotation: dict) -> npt.NDArray[np.int64]:
        ids = read_ids(png)
        found = np.full(ids.shape, -1)
        for segment in annotation["segments_info"]:
            mask = ids == segment["id"]
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
            assert (segment["area"], segment["bbox"]) == (mask.sum(), box)
            found[mask] = segment["category_id"]
        return found

    return read
