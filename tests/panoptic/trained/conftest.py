"""A run's folder with untrained networks, which find something nevertheless."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from autopanoptic.nas import SearchSpace
from autopanoptic.panoptic.configs.config import load_config, save_config
from autopanoptic.panoptic.data.coco.layout import find_splits
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.merge.rules import MergeRules
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.results.saved import new_network, save_network
from autopanoptic.panoptic.results.usage import Usage
from autopanoptic.panoptic.training.record import describe_data

MOST = 5
NAMES = ("random", "searched", "searched-1")


@pytest.fixture(scope="session")
def shared_run(tmp_path_factory: pytest.TempPathFactory, scene_folder: Path) -> Path:
    run = tmp_path_factory.mktemp("runs") / "mine"
    shutil.copytree(scene_folder, run / "data")
    save_config(load_config("scenes"), run / "config.yaml")
    datasets = find_splits(run / "data").open()
    splits = {"train": datasets.train, "nas_val": datasets.nas_val, "val": datasets.val}
    (run / "data.json").write_text(json.dumps({name: describe_data(one) for name, one in splits.items()}))
    known = datasets.train.categories
    assert known.stuff[MOST - 1].name == "noise"
    # An untrained network gives every class about the same score.
    usage = Usage(known, rules=MergeRules(score_threshold=0.11, stuff_area=16))
    config = PanopticConfig.scenes(len(known.things), len(known.stuff))
    with torch.device("meta"):
        space = SearchSpace.from_module(PanopticNetwork(config))
    architecture = space.canonical({choice.label: choice.options[0] for choice in space.choices})
    for seed, name in enumerate(NAMES):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = new_network(config, architecture)
        assert network.segmentation is not None
        with torch.no_grad():
            # One stuff class everywhere, which is right on more than half of an image of val.
            network.segmentation.score.bias[MOST] += 5.0
        save_network(network, architecture, run / "networks" / name, usage)
    return run


@pytest.fixture
def run(shared_run: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(shared_run, tmp_path / "runs" / "mine"))
