"""A folder's training is recognised, and another one refused by what differs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from autopanoptic.nas import FairPaths, Supernet, UniformPaths
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.stages.networks import build
from autopanoptic.panoptic.training.hardware import Hardware
from autopanoptic.panoptic.training.recipe import Recipe
from autopanoptic.panoptic.training.record import keep_record, projections, record_of
from autopanoptic.panoptic.training.trainer import train
from autopanoptic.panoptic.training.training import Training

RECIPE = Recipe(passes=1, batch_size=2, warmup=0)


@pytest.fixture(scope="module")
def network() -> PanopticNetwork:
    return build(PanopticConfig.scenes(10, 5), seed=0)


@pytest.fixture(scope="module")
def given(network: PanopticNetwork, datasets: Datasets) -> dict[str, Any]:
    return {
        "network": network, "dataset": datasets.train, "transform": Transform(None, None), "recipe": RECIPE,
        "paths": UniformPaths(Supernet(network).space), "seed": 0, "hardware": Hardware("cpu", checkpoint_every=2),
    }  # fmt: skip


def record(network: PanopticNetwork, **training: Any) -> dict[str, Any]:
    return record_of(network, Training(**training))


def keep(folder: Path, record: dict[str, Any], *, begun: bool) -> None:
    keep_record(folder / "training.json", record, what="another training", begun=begun)


def as_stored(dataset: CocoPanoptic) -> CocoPanoptic:
    return CocoPanoptic(dataset.images, dataset.segmentations, dataset.source, orientation="ignore")


Change = Callable[[dict[str, Any], Datasets], dict[str, Any]]
CHANGES: dict[str, tuple[Change, str]] = {
    "data": (lambda given, sets: {"dataset": sets.val}, r"data.images \(8, not 4\); data.annotations"),
    "one image less": (lambda given, sets: {"dataset": sets.train.subset(range(7))}, r"data.images \(8, not 7\)"),
    "orientation": (
        lambda given, sets: {"dataset": as_stored(sets.train)}, r'data.orientation \("apply", not "ignore"\)'
    ),
    "learning rate": (
        lambda given, sets: {"recipe": replace(RECIPE, learning_rate=1.0)}, r"recipe.learning_rate \(0.003, not 1.0\)"
    ),
    "passes": (lambda given, sets: {"recipe": replace(RECIPE, passes=2)}, r"recipe.passes \(1, not 2\)"),
    "seed": (lambda given, sets: {"seed": 1}, r"seed \(0, not 1\)\. "),
    "size": (lambda given, sets: {"transform": Transform(64, None)}, r"transform.short_side \(null, not 64\)"),
    "no paths": (lambda given, sets: {"paths": None}, r"paths \(.*, not null\)"),
    "paths' seed": (lambda given, sets: {"paths": UniformPaths(given["paths"].space, 1)}, "paths.first"),
    "sampler": (lambda given, sets: {"paths": FairPaths(given["paths"].space)}, r"paths.cycle \(1, not 12\)"),
    "precision": (lambda given, sets: {"hardware": replace(given["hardware"], precision="bf16-mixed")}, "precision"),
    "interval": (
        lambda given, sets: {"hardware": replace(given["hardware"], checkpoint_every=3)},
        r"checkpoint_every \(2, not 3\)",
    ),
    "starting weights": (
        lambda given, sets: {"network": build(PanopticConfig.scenes(10, 5), seed=1)}, "the starting weights of backbone"
    ),
    "network": (
        lambda given, sets: {"network": build(PanopticConfig.scenes(10, 4), seed=0)}, r"network.num_stuff \(5, not 4\)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_another_training_is_refused_by_what_differs(
    tmp_path: Path, given: dict[str, Any], datasets: Datasets, name: str
) -> None:
    change, message = CHANGES[name]
    keep(tmp_path, record(**given), begun=False)
    keep(tmp_path, record(**given), begun=True)
    other = record(**{**given, **change(given, datasets)})
    with pytest.raises(ValueError, match=f"holds another training, which differs in .*{message}"):
        keep(tmp_path, other, begun=True)


def test_last_bits_of_starting_weights_are_the_processors(given: dict[str, Any], tmp_path: Path) -> None:
    network = build(PanopticConfig.scenes(10, 5), seed=0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1 + 1e-7)
    keep(tmp_path, record(**given), begun=False)
    keep(tmp_path, record(**{**given, "network": network}), begun=True)


def test_one_changed_layer_is_seen() -> None:
    network = build(PanopticConfig.scenes(10, 5), seed=0)
    before = projections(network)
    with torch.no_grad():
        network.neck.pyramid.fpn.layer_blocks[0][0].weight.normal_()
    after = projections(network)
    assert [part for part in before if before[part] != after[part]] == ["neck"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_damaged_record_is_named(given: dict[str, Any], tmp_path: Path, content: bytes) -> None:
    (tmp_path / "training.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"training.json (is damaged|must hold)"):
        keep(tmp_path, record(**given), begun=True)


def test_checkpoints_without_a_record_are_refused(given: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has lost training\.json"):
        keep(tmp_path, record(**given), begun=True)


def test_a_stale_folder_does_not_pass_for_the_new_training(datasets: Datasets, tmp_path: Path) -> None:
    network = build(PanopticConfig.scenes(10, 5), seed=0)
    quiet = Hardware("cpu", progress=False)
    train(network, Training(datasets.train, Transform(None, None), RECIPE, hardware=quiet), tmp_path)
    assert json.loads((tmp_path / "training.json").read_text())["recipe"] == RECIPE.to_json()
    again = build(PanopticConfig.scenes(10, 5), seed=0)
    slower = Training(datasets.train, Transform(None, None), replace(RECIPE, learning_rate=1e-4), hardware=quiet)
    with pytest.raises(ValueError, match=r"differs in recipe\.learning_rate"):
        train(again, slower, tmp_path)
    with pytest.raises(ValueError, match="differs in the starting weights of"):
        train(network, Training(datasets.train, Transform(None, None), RECIPE, hardware=quiet), tmp_path)
