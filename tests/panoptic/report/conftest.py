"""A finished run, made by the functions that make runs, with untrained networks and a search of made-up figures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from autopanoptic.nas import Architecture, RandomSearch, Result, Search, SearchSpace
from autopanoptic.panoptic.configs.config import load_config, save_config
from autopanoptic.panoptic.data.coco.layout import find_splits
from autopanoptic.panoptic.model.merge.rules import MergeRules
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.results.fronts import Fronts
from autopanoptic.panoptic.results.saved import new_network, save_network
from autopanoptic.panoptic.stages import comparison
from autopanoptic.panoptic.stages.batches import validation_of
from autopanoptic.panoptic.stages.networks import network_config, usage_of
from autopanoptic.panoptic.training.record import describe_data

# An untrained network gives every class about the same score.
SETTINGS = replace(load_config("scenes"), merge=MergeRules(score_threshold=0.11, stuff_area=16))
NETWORKS = ("searched", "random", "hand-made")
TRIALS = 12


def made_up(architecture: Architecture) -> Mapping[str, float]:
    """Metrics that follow from an architecture's name."""
    number = int(architecture.id[:4], 16) / 16**4
    return {"pq": 20 + 5 * number, "pq_standard_error": 0.5, "gflops": 0.1 + number / 2, "mparams": 0.4}


def search(space: SearchSpace, path: Path, seed: int) -> Result:
    objectives = {"pq": "max", "gflops": "min"}
    return Search(space, RandomSearch(), made_up, objectives=objectives, journal=path, seed=seed).run(trials=TRIALS)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, scene_folder: Path) -> Path:
    run = tmp_path_factory.mktemp("runs") / "mine"
    shutil.copytree(scene_folder, run / "data")
    save_config(SETTINGS, run / "config.yaml")
    datasets = find_splits(run / "data").open()
    splits = {"train": datasets.train, "nas_val": datasets.nas_val, "val": datasets.val}
    (run / "data.json").write_text(json.dumps({name: describe_data(one) for name, one in splits.items()}))
    (run / "seconds.json").write_text(json.dumps({"data": 1.5, "supernet": 60, "search": 30, "retraining": 1208.5}))
    categories = datasets.train.categories
    config = network_config(SETTINGS, categories, searched=True)
    with torch.device("meta"):
        space = SearchSpace.from_module(PanopticNetwork(config))
    journals = [run / f"{name}.jsonl" for name in ("search", "random", "family")]
    searched, drawn, family = (search(space, path, seed) for seed, path in enumerate(journals))
    Fronts.of(searched, drawn, family, images=len(datasets.nas_val)).save(run)
    validation = validation_of(SETTINGS, datasets.val, config.image_divisor)
    measured = {}
    for seed, (name, trial) in enumerate(zip(NETWORKS, searched.history.ranked(), strict=False)):
        folder = run / "networks" / name
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = new_network(config, trial.architecture)
        assert network.segmentation is not None
        with torch.no_grad():
            # One stuff class everywhere, which is right on more than half of an image of val.
            network.segmentation.score.bias[5 - seed] += 5.0
        save_network(network, trial.architecture, folder, usage_of(SETTINGS, categories))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(comparison, "PICTURES", 1)  # drawing them takes longest
            quality = comparison.evaluate(network, validation, datasets.val, folder / "pictures")
        measured[name] = comparison.NetworkReport(name, trial.architecture, quality, 0.1 + seed, 0.5, 20.0)
    extra = {
        "finalists_on_nas_val": {"searched-1": 41.25, "searched-2": 40.0},
        "screened_on_nas_val": {"a": 30.0, "b": 35.25},
        "device": "cpu",
        "torch": "9.9.9",
    }
    searched.to_json(run / "search.json")
    comparison.write(run, measured, comparison.differences(measured), searched, drawn, extra)
    return run


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "runs" / "mine"))
