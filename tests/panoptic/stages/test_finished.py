"""Finished weights do not pass for those of other settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from autopanoptic.nas import Architecture, Supernet
from autopanoptic.panoptic.configs.config import change_settings, load_config
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.stages.networks import build, network_config
from autopanoptic.panoptic.stages.retrain import retrain
from autopanoptic.panoptic.stages.supernet import train_supernet
from autopanoptic.panoptic.training.recipe import Recipe

RECIPE = Recipe(passes=1, batch_size=1, warmup=0)
SETTINGS = load_config(
    "scenes",
    {
        "search.space": "auto-panoptic",
        "warmup": RECIPE,
        "supernet": RECIPE,
        "retrain": RECIPE,
        "init": "scratch",
        "machine": {"device": "cpu", "supernet_processes": 1},
    },
)


@pytest.fixture(scope="module")
def architecture(datasets: Datasets) -> Architecture:
    return hand_made(Supernet(build(network_config(SETTINGS, datasets.train.categories), seed=0)).space)


@pytest.fixture(scope="module")
def run(datasets: Datasets, architecture: Architecture, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train_supernet(SETTINGS, datasets, folder / "supernet", progress=False)
    retrain(SETTINGS, architecture, datasets, folder / "network", folder / "supernet")
    return folder


def test_the_same_settings_read_them(datasets: Datasets, architecture: Architecture, run: Path) -> None:
    supernet = train_supernet(SETTINGS, datasets, run / "supernet", progress=False)
    network = retrain(SETTINGS, architecture, datasets, run / "network", run / "supernet")
    for module, file in ((supernet.module, "supernet/supernet.pt"), (network, "network/weights.pt")):
        stored = torch.load(run / file, weights_only=True)
        assert all(torch.equal(value, stored[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"warmup.learning_rate": 1.0}, r"recipe\.learning_rate \(0.003, not 1.0\)"),
        ({"supernet.learning_rate": 1.0}, r"recipe\.learning_rate \(0.003, not 1.0\)"),
        ({"supernet.passes": 2}, r"recipe\.passes \(1, not 2\)"),
        ({"seed": 1}, "starting weights of backbone"),
        ({"data.short_side": 64}, "short_side"),
    ],
)
def test_another_supernet_is_refused(
    datasets: Datasets, run: Path, changes: dict[str, object], difference: str
) -> None:
    other = change_settings(SETTINGS, changes)
    with pytest.raises(ValueError, match=rf"holds another training, which differs in .*{difference}"):
        train_supernet(other, datasets, run / "supernet", progress=False)


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"retrain.learning_rate": 1.0}, r"recipe\.learning_rate \(0.003, not 1.0\)"),
        ({"seed": 1}, "starting weights of backbone"),
        ({"init": "supernet"}, "starting weights of"),
    ],
)
def test_another_network_is_refused(
    datasets: Datasets, architecture: Architecture, run: Path, changes: dict[str, object], difference: str
) -> None:
    other = change_settings(SETTINGS, changes)
    with pytest.raises(ValueError, match=rf"holds another training, which differs in .*{difference}"):
        retrain(other, architecture, datasets, run / "network", run / "supernet")


def test_other_data_are_refused(datasets: Datasets, architecture: Architecture, run: Path) -> None:
    less = replace(datasets, train=datasets.train.subset(range(7)))
    with pytest.raises(ValueError, match=r"differs in data\.images \(8, not 7\)"):
        train_supernet(SETTINGS, less, run / "supernet", progress=False)
    with pytest.raises(ValueError, match=r"differs in data\.images \(8, not 7\)"):
        retrain(SETTINGS, architecture, less, run / "network", run / "supernet")
