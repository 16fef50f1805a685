"""Small data for the tests of training, evaluation and the pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest

from autopanoptic.panoptic.data.coco.layout import Datasets, find_splits
from autopanoptic.panoptic.data.scenes.files import write_scenes


@pytest.fixture(scope="session")
def scene_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a few generated scenes."""
    counts = {"train": 8, "nas_val": 4, "val": 4}
    return write_scenes(tmp_path_factory.mktemp("data") / "scenes", counts, size=64)


@pytest.fixture(scope="session")
def datasets(scene_folder: Path) -> Datasets:
    """The scenes, opened."""
    return find_splits(scene_folder).open()
