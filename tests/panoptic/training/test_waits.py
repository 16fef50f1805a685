"""How often the host waits for a GPU in a whole training step, counted on one that is not there."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autopanoptic.nas import SandwichPaths, Supernet
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.loading.batch import LabelledBatch
from autopanoptic.panoptic.data.loading.batches import training_batches
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.stages.networks import build
from autopanoptic.panoptic.training.average import Average, decay_of
from autopanoptic.panoptic.training.module import PanopticModule
from autopanoptic.panoptic.training.parallel import parts
from autopanoptic.panoptic.training.recipe import Recipe
from tests.pretended_gpu import GPU, OnGpu, OnGpuGenerator, PretendedGpu, on_gpu, on_host

RECIPE = Recipe(passes=8, batch_size=2, warmup=0, clip=1.0)
LOSSES = Counter(nms=2, tolist=4)
"""Of a forward pass over two images, see tests/panoptic/model/test_waits.py."""


class _Module(PanopticModule):
    """A module with what a trainer gives it, but for the backward pass."""

    trainer: Any = SimpleNamespace(
        world_size=1, global_rank=0, strategy=SimpleNamespace(), precision_plugin=SimpleNamespace()
    )

    def begin(self) -> _Module:
        self.told: dict[str, Any] = {}
        (self._made,), (self._schedule,) = on_gpu(self).configure_optimizers()
        self.train()
        return self

    def optimizers(self, use_pl_optimizer: bool = True) -> Any:
        return self._made

    def lr_schedulers(self) -> Any:
        return self._schedule

    def manual_backward(self, loss: Tensor, *_: Any, **__: Any) -> None:
        for weight in self.network.parameters():
            weight.grad = torch.ones_like(weight) if weight.grad is None else weight.grad + 1

    def log(self, name: str, value: Any, *_: Any, **__: Any) -> None:
        self.told[name] = value


@pytest.fixture(autouse=True)
def generators(monkeypatch: pytest.MonkeyPatch) -> None:
    own = torch.Generator
    monkeypatch.setattr(torch, "Generator", lambda device: OnGpuGenerator() if device.type == "cuda" else own(device))


@pytest.fixture
def network(datasets: Datasets) -> PanopticNetwork:
    categories = datasets.train.categories
    return build(PanopticConfig.scenes(len(categories.things), len(categories.stuff)), seed=0)


@pytest.fixture
def batch(datasets: Datasets) -> LabelledBatch:
    return next(iter(training_batches(datasets.train, Transform(64, None), batch_size=2, divisor=64, stop=1)))


def waits(module: _Module, batch: LabelledBatch) -> Counter[str]:
    """Of one step, the transfer of its batch included."""
    with PretendedGpu() as gpu:
        module.begin()
        gpu.waits.clear()
        module.training_step(batch.pin_memory().to(GPU), 0)
    # What Lightning is told lies on the host, where it turns it into numbers for the log and the bar.
    assert {"loss", "mask", "segmentation", "learning_rate"} <= set(module.told)
    assert not any(isinstance(value, OnGpu) for value in module.told.values())
    return gpu.waits


def test_a_step_waits_once_besides_its_losses(network: PanopticNetwork, batch: LabelledBatch) -> None:
    module = _Module(network, RECIPE)
    assert waits(module, batch) == LOSSES + Counter(tolist=1)
    assert module.passes == 1


def test_the_paths_of_a_cycle_wait_once_besides_their_losses(network: PanopticNetwork, batch: LabelledBatch) -> None:
    space = Supernet(network).space
    ends = [space.canonical({**hand_made(space), "backbone.0": block}) for block in ("xception3", "shuffle3")]
    paths = SandwichPaths(space, *ends, random=1)
    module = _Module(network, replace(RECIPE, passes=9, distillation=1.0), paths)
    # The teacher draws RoIs, whose levels the others ask for again; each proposes by itself.
    times = paths.cycle
    assert waits(module, batch) == Counter(nms=2 * times, tolist=4 + 3 * (times - 1) + 1)


def test_parts_of_a_batch_wait_as_batches_and_once_in_the_end(network: PanopticNetwork, batch: LabelledBatch) -> None:
    module = _Module(network, RECIPE, batch_size=1)
    # RoIs are drawn with a forward pass of their own: for it as for the losses proposals and anchors.
    drawn, losses = Counter(nms=1, tolist=2), Counter(nms=1, tolist=3)
    assert waits(module, batch) == drawn + drawn + losses + losses + Counter(tolist=1)


def test_shares_of_a_batch_wait_no_more(
    network: PanopticNetwork, batch: LabelledBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "summed", lambda counts: counts)
    module = _Module(network, RECIPE)
    module.trainer = SimpleNamespace(
        world_size=2, global_rank=0, strategy=SimpleNamespace(reduce=lambda x, reduce_op: x),
        precision_plugin=SimpleNamespace(),
    )  # fmt: skip
    assert waits(module, batch) == LOSSES + Counter(tolist=1)


def test_an_average_of_weights_waits_for_nothing() -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    average = Average(network, 0.9, torch.device("cpu"))
    on_gpu(average.module)
    with PretendedGpu() as gpu:
        for value in (1.0, 2.0):
            nn.init.constant_(network[0].weight, value)
            average.update_parameters(on_gpu(copy.deepcopy(network)))
    assert not gpu.waits
    moved = 1 + (1 - decay_of(0.9, 1))
    torch.testing.assert_close(on_host(average.module[0].weight), torch.full((2, 3), moved))
