"""Small data and networks for the tests of the panoptic task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from autopanoptic.nas import ModelSpace, Supernet
from autopanoptic.panoptic.data.coco.layout import Datasets, find_splits
from autopanoptic.panoptic.data.loading.masks import ThingMasks, window_of
from autopanoptic.panoptic.data.scenes.files import write_scenes
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork

THINGS, STUFF = 3, 2


def things_on(numbers: torch.Tensor, boxes: torch.Tensor) -> ThingMasks:
    """The masks of the things 1 to N of a map (H, W), with their boxes (N, 4)."""
    height, width = numbers.shape
    return ThingMasks(numbers, torch.arange(len(boxes)) + 1, boxes, window_of(boxes, (height, width)))


def make_batch(sizes: list[tuple[int, int]], things: list[int], padded: int = 96) -> dict[str, Any]:
    """Random images with ``things[i]`` rectangles each, as the keyword arguments of ``losses``."""
    generator = torch.Generator().manual_seed(1)
    images = torch.zeros(len(sizes), 3, padded, padded)
    semantic = torch.full((len(sizes), padded, padded), 255, dtype=torch.uint8)
    targets = []
    for index, ((height, width), count) in enumerate(zip(sizes, things, strict=True)):
        images[index, :, :height, :width] = torch.randn(3, height, width, generator=generator)
        semantic[index, :height, :width] = 1 + index % STUFF
        corner = torch.rand(count, 2, generator=generator) * 30
        boxes = torch.cat((corner, corner + 10 + torch.rand(count, 2, generator=generator) * 30), dim=1)
        numbers = torch.zeros(padded, padded, dtype=torch.uint8)
        for number, (x1, y1, x2, y2) in enumerate(boxes.long().tolist(), 1):
            numbers[y1:y2, x1:x2] = number
        labels = torch.randint(1, THINGS + 1, (count,), generator=generator)
        targets.append({"boxes": boxes, "labels": labels, "masks": things_on(numbers, boxes)})
    return {"images": images, "sizes": sizes, "targets": targets, "semantic": semantic}


@pytest.fixture(name="things_on", scope="session")
def _things_on() -> Any:
    return things_on


@pytest.fixture(name="make_batch", scope="session")
def _make_batch() -> Any:
    return make_batch


class PartSpace(ModelSpace):
    """NNI makes choices inside a ModelSpace's constructor only."""

    def __init__(self, build: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.part = build()


@pytest.fixture(scope="session")
def in_space() -> Callable[[Callable[[], nn.Module]], Any]:
    """Builds a part of the network as it stands in a search space."""
    return lambda build: PartSpace(build).part


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
    return PanopticConfig.scenes(THINGS, STUFF)


@pytest.fixture
def network(config: PanopticConfig) -> PanopticNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PanopticNetwork(config)


@pytest.fixture
def supernet(network: PanopticNetwork) -> Supernet:
    return Supernet(network)
