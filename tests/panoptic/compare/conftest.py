"""A comparison of tiny trainings on a few scenes, and the config that it is made from."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from autopanoptic.panoptic.compare.making import Made, made, source_of
from autopanoptic.panoptic.compare.naming import Change

MODELS = ("panoptic-fpn", "hand-made")
CONFIG = """\
base: scenes
data: {{path: {data}}}
network: {{segmentation_loss_weight: 3.5, rpn_post_nms_test: 10, detections_per_image: 5}}
retrain: {{passes: 2, batch_size: 1, warmup: 0}}
machine: {{device: cpu, checkpoint_every: 1}}
"""


def quiet() -> Console:
    return Console(file=io.StringIO(), width=80)


def make(
    config: Path, folder: Path, models: Sequence[str] = MODELS, seeds: int = 2, changes: Sequence[Change] = ()
) -> Made:
    return made(models, source_of(str(config), changes), seeds, folder, 1, quiet())


@pytest.fixture(scope="session")
def config_file(tmp_path_factory: pytest.TempPathFactory, scene_folder: Path) -> Path:
    file = tmp_path_factory.mktemp("config") / "tiny.yaml"
    file.write_text(CONFIG.format(data=scene_folder))
    return file


@pytest.fixture(scope="session")
def finished(config_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "mine"
    make(config_file, folder).compared()
    return folder


@pytest.fixture
def comparison(finished: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "runs" / "mine"))
