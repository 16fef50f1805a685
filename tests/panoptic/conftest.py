"""Small data and networks for the tests of the panoptic task."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from autopanoptic.nas import Supernet
from autopanoptic.panoptic.data.coco.layout import Datasets, find_splits
from autopanoptic.panoptic.data.scenes.files import write_scenes
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork


@pytest.fixture(scope="session")
def scene_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a few generated scenes."""
    counts = {"train": 8, "nas_val": 4, "val": 4}
    return write_scenes(tmp_path_factory.mktemp("data") / "scenes", counts, size=64)


@pytest.fixture(scope="session")
def datasets(scene_folder: Path) -> Datasets:
    """The scenes, opened."""
    return find_splits(scene_folder).open()


@pytest.fixture(scope="session")
def config() -> PanopticConfig:
    return PanopticConfig.scenes(3, 2)


@pytest.fixture
def network(config: PanopticConfig) -> PanopticNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PanopticNetwork(config)


@pytest.fixture
def supernet(network: PanopticNetwork) -> Supernet:
    return Supernet(network)
