"""Training an elastic panoptic supernet whose largest path teaches the others."""

from __future__ import annotations

import csv
import json
import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from autopanoptic.nas import FairPaths, Option, Supernet
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.search.paths import SizeSandwich
from autopanoptic.panoptic.stages.networks import build
from autopanoptic.panoptic.training.hardware import Hardware
from autopanoptic.panoptic.training.module import PanopticModule
from autopanoptic.panoptic.training.recipe import Recipe
from autopanoptic.panoptic.training.trainer import train
from autopanoptic.panoptic.training.training import Training

TRANSFORM = Transform(None, None)
RECIPE = Recipe(passes=6, batch_size=2, warmup=1, distillation=1.0)
MACHINE = Hardware("cpu", progress=False, checkpoint_every=3)


@pytest.fixture
def network(datasets: Datasets) -> PanopticNetwork:
    categories = datasets.train.categories
    scenes = PanopticConfig.scenes(len(categories.things), len(categories.stuff))
    return build(
        replace(
            scenes, space="elastic", stem_width=4, c2_widths=(4, 8), c3_widths=(8, 12), c4_widths=(12, 16),
            c5_widths=(8, 20), c3_depths=(1, 2), pyramid_widths=(16, 32), segmentation_widths=(18, 24),
            mask_widths=(12, 24), norm_groups=4, box_hidden=16, rpn_post_nms_train=40,
        ),
        seed=0,
    )  # fmt: skip


def trained(network: PanopticNetwork, datasets: Datasets, recipe: Recipe, folder: Path) -> dict[str, Tensor]:
    """The weights after a training, from the same ones each time."""
    start = {name: value.clone() for name, value in network.state_dict().items()}
    paths = SizeSandwich(Supernet(network).space, random=1)
    train(network, Training(datasets.train, TRANSFORM, recipe, paths=paths, hardware=MACHINE), folder)
    found = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(start)
    return found


def differing(one: dict[str, Tensor], other: dict[str, Tensor]) -> list[str]:
    return [name for name, value in one.items() if not torch.equal(value, other[name])]


def test_the_largest_teaches_and_a_broken_off_training_goes_on_exactly(
    datasets: Datasets, network: PanopticNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, dict[str, Option]]] = []
    cut: list[int] = []
    running: list[PanopticModule] = []
    init = PanopticModule.__init__

    def begun(self: PanopticModule, *args: Any, **options: Any) -> None:
        init(self, *args, **options)
        running.append(self)

    monkeypatch.setattr(PanopticModule, "__init__", begun)
    teach, learn = PanopticNetwork.teach, PanopticNetwork.learn
    largest = widths({choice.label: max(choice.options) for choice in Supernet(network).space.choices})

    def noted(name: str, function: Any) -> Any:
        def call(self: PanopticNetwork, *args: Any, **options: Any) -> Any:
            calls.append((name, widths(running[-1].supernet.active)))
            if len(calls) in cut:
                raise RuntimeError("power cut")
            return function(self, *args, **options)

        return call

    monkeypatch.setattr(PanopticNetwork, "teach", noted("teach", teach))
    monkeypatch.setattr(PanopticNetwork, "learn", noted("learn", learn))
    whole = trained(network, datasets, RECIPE, tmp_path / "whole")
    assert [name for name, _ in calls] == ["teach", "learn", "learn"] * 2
    assert calls[0][1] == calls[3][1] == largest
    with next((tmp_path / "whole" / "log").rglob("metrics.csv")).open() as file:
        rows = list(csv.DictReader(file))
    assert all(float(row["soft_mask"]) > 0 and float(row["soft_segmentation"]) > 0 for row in rows)
    assert json.loads((tmp_path / "whole" / "training.json").read_text())["recipe"]["distillation"] == 1
    start = {name: value.clone() for name, value in network.state_dict().items()}
    calls.clear()
    cut.append(5)  # inside of the second step
    with pytest.raises(RuntimeError, match="power cut"):
        trained(network, datasets, RECIPE, tmp_path / "cut")
    network.load_state_dict(start)
    calls.clear()
    cut.clear()
    assert differing(trained(network, datasets, RECIPE, tmp_path / "cut"), whole) == []
    assert len(calls) == 3, "the first step is not trained again"


def widths(path: Mapping[str, Option]) -> dict[str, Option]:
    return {label: option for label, option in path.items() if label.endswith(".width")}


def test_soft_labels_change_the_training_and_without_them_there_is_no_teacher(
    datasets: Datasets, network: PanopticNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = replace(RECIPE, passes=3)
    soft = trained(network, datasets, short, tmp_path / "soft")
    half = trained(network, datasets, replace(short, distillation=0.5), tmp_path / "half")
    monkeypatch.delattr(PanopticNetwork, "teach")
    monkeypatch.delattr(PanopticNetwork, "learn")
    off = trained(network, datasets, replace(short, distillation=0.0), tmp_path / "off")
    default = Recipe(passes=3, batch_size=2, warmup=1)
    assert differing(off, trained(network, datasets, default, tmp_path / "default")) == []
    for one, other in ((soft, half), (half, off), (soft, off)):
        assert differing(one, other)


def test_it_needs_heads_of_one_kind() -> None:
    published = PanopticNetwork(replace(PanopticConfig.scenes(2, 2), space="published"))
    with pytest.raises(ValueError, match=r"distillation=1.0: in the space published paths have semantic heads with"):
        PanopticModule(published, RECIPE)


def test_it_needs_paths_on_one_batch(network: PanopticNetwork) -> None:
    with pytest.raises(ValueError, match=r"distillation=1.0 is for a supernet trained by the sandwich rule"):
        PanopticModule(network, RECIPE, FairPaths(Supernet(network).space, length=3))
    with pytest.raises(ValueError, match=r"distillation=1.0 .* take 0 here"):
        PanopticModule(network, RECIPE)


def test_it_can_be_sent_to_other_processes(network: PanopticNetwork) -> None:
    module = PanopticModule(network, RECIPE, SizeSandwich(Supernet(network).space, random=1))
    sent = pickle.loads(pickle.dumps(module))
    assert sent.loss.module is sent
    assert sent.distillation
