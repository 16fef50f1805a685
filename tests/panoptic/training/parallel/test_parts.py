"""A batch that is computed in parts is the whole batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from autopanoptic.nas.supernet.batch_norm import statistics_kept
from autopanoptic.panoptic.configs.models import MODELS
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.loading.batch import LabelledBatch
from autopanoptic.panoptic.data.loading.batches import training_batches
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.stages.networks import build
from autopanoptic.panoptic.training.module import PanopticModule
from autopanoptic.panoptic.training.parallel.parts import of_whole, parts_of
from autopanoptic.panoptic.training.recipe import Recipe

Gradients = dict[str, Tensor]


def without_batch_norm(network: PanopticNetwork) -> PanopticNetwork:
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, _BatchNorm):
                setattr(module, name, nn.Identity())
    return network


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no trainer."""
    for name in ("log", "log_dict"):
        monkeypatch.setattr(PanopticModule, name, lambda *_, **__: None)
    monkeypatch.setattr(PanopticModule, "_reduces", False)


@pytest.fixture
def batch(datasets: Datasets) -> LabelledBatch:
    return next(iter(training_batches(datasets.train, Transform(None, None, flip=0.0), batch_size=4, divisor=32)))


@pytest.fixture
def network(datasets: Datasets) -> PanopticNetwork:
    categories = datasets.train.categories
    config = PanopticConfig.scenes(len(categories.things), len(categories.stuff))
    return without_batch_norm(build(config, seed=0)).train()


def gradients(
    network: PanopticNetwork, batch: LabelledBatch, size: int | None, loss: Callable[[PanopticModule, Any], Tensor]
) -> tuple[Tensor, Gradients]:
    """The loss and the gradients of a batch in parts of so many images."""
    module = PanopticModule(network, Recipe(1), batch_size=size)
    network.zero_grad()
    losses = []
    for part in module._split(network, batch):
        losses.append(loss(module, part))
        losses[-1].backward()
    named = network.named_parameters()
    return torch.stack(losses).sum().detach(), {n: p.grad.clone() for n, p in named if p.grad is not None}


def assert_close(a: Gradients, b: Gradients) -> None:
    """Sums in another order differ in their last bits, of which small gradients have more."""
    assert a.keys() == b.keys()
    largest = max(float(value.norm()) for value in a.values())
    odd = {n: float((v - b[n]).norm() / v.norm()) for n, v in a.items() if (v - b[n]).norm() > 1e-3 * v.norm()}
    assert not {name: error for name, error in odd.items() if float(a[name].norm()) > 1e-5 * largest}
    assert len(odd) < len(a) / 10


@pytest.mark.parametrize("size", [1, 3])
def test_accumulated_gradients_are_those_of_the_whole_batch(
    network: PanopticNetwork, batch: LabelledBatch, size: int
) -> None:
    counts = [int(one["labels"].numel()) for one in batch.targets]
    assert len(set(counts)) > 1  # so that a mean of the parts' means would be another

    def total(module: PanopticModule, part: Any) -> Tensor:
        return module._total(network, part)

    whole, wanted = gradients(network, batch, None, total)
    parts, found = gradients(network, batch, size, total)
    torch.testing.assert_close(parts, whole)
    assert len(wanted) > 50
    assert_close(wanted, found)


def test_so_are_those_of_a_path_that_learns_from_another(network: PanopticNetwork, batch: LabelledBatch) -> None:
    def taught(module: PanopticModule, part: Any) -> Tensor:
        arguments = (part.batch.images, part.batch.sizes, part.batch.targets, part.batch.semantic)
        drawn: dict[str, Any] = {"generator": module._generators(part), "shares": part.shares}
        _, knowledge = network.teach(*arguments, regions=part.regions, **drawn)
        again = {**drawn, "generator": module._generators(part)}
        return network.learn(*arguments, knowledge, weight=0.5, **again)["total"]

    (whole, wanted), (parts, found) = (gradients(network, batch, size, taught) for size in (None, 2))
    torch.testing.assert_close(parts, whole)
    assert_close(wanted, found)


def test_drawing_leaves_the_statistics_of_batch_norms_alone(datasets: Datasets, batch: LabelledBatch) -> None:
    categories = datasets.train.categories
    for space in ("auto-panoptic", "elastic"):
        config = replace(PanopticConfig.scenes(len(categories.things), len(categories.stuff)), space=space)  # type: ignore[arg-type]
        network = build(config, seed=0).train()
        before = {name: value.clone() for name, value in network.state_dict().items()}
        drawn = network.draw(batch.images, batch.sizes, batch.targets, batch.semantic)
        assert drawn.regions is not None
        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
        network.draw(batch.images, batch.sizes, batch.targets, batch.semantic)
        with pytest.raises(LookupError), statistics_kept(network):
            raise LookupError
        norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
        assert norms
        assert all(norm.momentum == config.batch_norm_momentum for norm in norms)


def test_places_are_those_of_the_whole_batch(batch: LabelledBatch) -> None:
    parts = parts_of(batch, 3, rank=1, world=2)
    assert [list(part.places) for part in parts] == [[1, 3, 5], [7]]
    assert [part.last for part in parts] == [False, True]
    assert [image for part in parts for image in part.batch.image_ids] == batch.image_ids
    assert [len(part.batch) for part in parts_of(batch, None, 0, 1)] == [4]


def test_shares_of_a_count_of_zero_are_finite() -> None:
    whole = {"pixels": torch.tensor(0.0), "rois": torch.tensor(8.0)}
    assert of_whole(whole, 1)({"pixels": torch.tensor(0.0), "rois": torch.tensor(2.0)}) == {"pixels": 0.0, "rois": 0.25}


@pytest.mark.parametrize("name", ["panoptic-fpn", "upsnet", "sognet"])
def test_so_are_those_of_other_models(datasets: Datasets, batch: LabelledBatch, name: str) -> None:
    categories, model = datasets.train.categories, MODELS[name]
    plain = PanopticConfig.scenes(len(categories.things), len(categories.stuff))
    config = PanopticConfig.from_json({**plain.to_json(), **model.parts, **model.network})
    network = without_batch_norm(build(config, seed=0)).train()

    def total(module: PanopticModule, part: Any) -> Tensor:
        return module._total(network, part)

    (whole, wanted), (parts, found) = (gradients(network, batch, size, total) for size in (None, 2))
    torch.testing.assert_close(parts, whole)
    assert_close(wanted, found)
