"""The average of the weights: its value, that it is what a training ends with, and that it resumes exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from autopanoptic.nas import FairPaths, Supernet
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.stages.networks import build
from autopanoptic.panoptic.training.average import decay_of
from autopanoptic.panoptic.training.hardware import Hardware
from autopanoptic.panoptic.training.module import PanopticModule
from autopanoptic.panoptic.training.recipe import Recipe
from autopanoptic.panoptic.training.trainer import train
from autopanoptic.panoptic.training.training import Training

TRANSFORM = Transform(32, None)
RECIPE = Recipe(passes=4, batch_size=2, warmup=0, ema=0.15)
QUIET = Hardware("cpu", progress=False, checkpoint_every=2)


@pytest.fixture
def network(datasets: Datasets) -> PanopticNetwork:
    categories = datasets.train.categories
    return build(PanopticConfig.scenes(len(categories.things), len(categories.stuff)), seed=0)


def weights(network: PanopticNetwork) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_the_decay_grows_to_its_value() -> None:
    assert [round(decay_of(0.9, n), 4) for n in (0, 1, 10, 100, 1000)] == [0.1, 0.1818, 0.55, 0.9, 0.9]


def test_a_training_ends_with_the_average_of_its_weights(
    datasets: Datasets, network: PanopticNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[dict[str, Tensor]] = []
    update = PanopticModule._update

    def noted(self: PanopticModule, first: int) -> None:
        update(self, first)
        steps.append({name: value.clone() for name, value in self.network.state_dict().items()})

    monkeypatch.setattr(PanopticModule, "_update", noted)
    train(network, Training(datasets.train, TRANSFORM, RECIPE, hardware=QUIET), tmp_path)
    assert len(steps) == 4
    found, last = network.state_dict(), steps[-1]
    for name in ("rpn.head.cls_logits.weight", "backbone.stem.1.running_mean"):
        average = steps[0][name]
        for n, step in enumerate(steps[1:], 1):
            decay = min(0.15, (1 + n) / (10 + n))
            average = decay * average + (1 - decay) * step[name]
        assert torch.allclose(found[name], average, rtol=1e-5, atol=1e-8)
        assert not torch.equal(found[name], last[name])
    counter = "backbone.stem.1.num_batches_tracked"
    assert torch.equal(found[counter], last[counter])


@pytest.mark.parametrize("accumulate", [False, True])
def test_an_interrupted_average_resumes_exactly(
    datasets: Datasets, network: PanopticNetwork, tmp_path: Path, accumulate: bool
) -> None:
    space = Supernet(network).space
    paths = FairPaths(space, length=2)
    start, recipe = weights(network), replace(RECIPE, passes=4, accumulate=accumulate, ema=0.9)
    machine = replace(QUIET, checkpoint_every=1)
    train(network, Training(datasets.train, TRANSFORM, recipe, paths=paths, hardware=machine), tmp_path / "a")
    whole = weights(network)
    network.load_state_dict(start)
    total = PanopticModule._total

    def broken(self: PanopticModule, net: Any, batch: Any) -> Tensor:
        if self.passes == 3:  # within a cycle
            raise RuntimeError("power cut")
        return total(self, net, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PanopticModule, "_total", broken)
        with pytest.raises(RuntimeError, match="power cut"):
            train(network, Training(datasets.train, TRANSFORM, recipe, paths=paths, hardware=machine), tmp_path / "b")
    for _ in range(2):  # to its end, and once more when it has ended
        network.load_state_dict(start)
        train(network, Training(datasets.train, TRANSFORM, recipe, paths=paths, hardware=machine), tmp_path / "b")
        assert same(weights(network), whole)
