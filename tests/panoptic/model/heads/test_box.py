"""The box head: its layers, as they ship and of one's own, and its losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from autopanoptic.nas import Architecture, ElasticLinear, Size, Supernet
from autopanoptic.panoptic.configs.models import MODELS
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.heads.box import VectorGroupNorm, box_head, box_losses
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.parts.check import check_parts
from autopanoptic.panoptic.model.parts.kinds import REGION_FEATURES, BoxHead
from autopanoptic.panoptic.model.parts.registry import own_parts, register
from autopanoptic.panoptic.results.saved import load_network, new_network, save_network
from tests.gradients import without_gradient


def test_box_losses_are_averaged_over_all_rois() -> None:
    logits, deltas = torch.randn(3, 3), torch.randn(3, 12)
    labels, wanted = torch.tensor([0, 2, 1]), torch.randn(3, 4)
    classification, box = box_losses(logits, deltas, labels, wanted, torch.tensor([1, 2]))
    expected = -sum(logits[i].log_softmax(0)[label] for i, label in enumerate(labels)) / 3
    torch.testing.assert_close(classification, expected)
    difference = torch.stack((deltas[1, 8:12] - wanted[1], deltas[2, 4:8] - wanted[2])).abs()
    smooth = torch.where(difference < 1, difference**2 / 2, difference - 0.5)
    torch.testing.assert_close(box, smooth.sum() / 3)


@pytest.mark.parametrize("rois", [3, 500])
def test_features_with_their_channels_side_by_side_give_the_same(config: PanopticConfig, rois: int) -> None:
    head = box_head(config, 8, norm=True)
    x = torch.randn(rois, 8, config.box_roi_size, config.box_roi_size, requires_grad=True)
    expected = nn.Sequential(*head)(x)
    found = head(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected)
    wanted = torch.autograd.grad(expected.square().sum(), [x, head[1].weight])
    gradients = torch.autograd.grad(found.square().sum(), [x, head[1].weight])
    for one, other in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_vectors_are_normed_as_by_torch() -> None:
    norm, own = nn.GroupNorm(4, 24), VectorGroupNorm(4, 24)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    own.load_state_dict(norm.state_dict())
    x = torch.randn(5, 24, requires_grad=True)
    torch.testing.assert_close(own(x), norm(x))
    wanted = torch.autograd.grad(norm(x).square().sum(), [x, *norm.parameters()])
    found = torch.autograd.grad(own(x).square().sum(), [x, *own.parameters()])
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert own(x[:0]).shape == (0, 24)


def test_costs_see_every_layer_on_the_meta_device(config: PanopticConfig) -> None:
    with torch.device("meta"):
        head = box_head(config, 8, norm=True)
        seen: list[nn.Module] = []
        for layer in head:
            layer.register_forward_hook(lambda module, *_: seen.append(module))
        head(torch.empty(3, 8, config.box_roi_size, config.box_roi_size))
    assert seen == list(head)


@pytest.mark.parametrize(("name", "tensors"), [("two-fc", 4), ("two-fc-norm", 6)])
def test_those_that_ship_have_two_layers_with_norms_or_biases(config: PanopticConfig, name: str, tensors: int) -> None:
    with torch.device("meta"):
        roi = PanopticNetwork(replace(config, box_head=name)).roi_heads
    assert roi is not None
    found = dict(roi.box_head.named_parameters())
    assert len(found) == tensors
    assert sum(isinstance(layer, VectorGroupNorm) for layer in roi.box_head) == (2 if name == "two-fc-norm" else 0)


def pooled(config: PanopticConfig, channels: Size) -> nn.Module:
    """A single layer over the mean of a region's cells."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), ElasticLinear(channels, config.box_hidden), nn.ReLU())


@pytest.fixture
def _own() -> Iterator[None]:
    with own_parts():
        yield


@pytest.mark.usefixtures("_own")
@pytest.mark.parametrize("space", ["auto-panoptic", "elastic"])
def test_one_of_ones_own_is_tried_trained_and_saved(
    config: PanopticConfig, space: str, make_batch: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    register(BoxHead("pooled", pooled, elastic=True, gives=(REGION_FEATURES,)))
    own = replace(config, space=space, box_head="pooled")
    check_parts(own)
    assert PanopticConfig.from_json(own.to_json()) == own
    supernet = Supernet(PanopticNetwork(own))
    supernet.module.losses(**make_batch([(64, 64)], [2], 64))["total"].backward()
    assert without_gradient(supernet) == []
    architecture = Architecture(dict(supernet.active))
    save_network(new_network(own, architecture), architecture, tmp_path)
    loaded = load_network(tmp_path)
    assert loaded.config == own
    assert isinstance(loaded.roi_heads.box_head[2], nn.Linear)  # type: ignore[union-attr]


@pytest.mark.usefixtures("_own")
def test_what_is_wrong_with_one_of_ones_own_is_said(config: PanopticConfig) -> None:
    register(BoxHead("narrow", lambda config, channels: nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), elastic=True))
    with pytest.raises(
        ValueError, match=r"^box_head: the box head 'narrow', tried over the pooled .* must give \(2, 128\): 128 chann"
    ):
        check_parts(replace(config, box_head="narrow"))
    register(BoxHead("pooled", pooled))
    with pytest.raises(ValueError, match="box_head: the box head 'pooled' is registered for fixed widths alone"):
        replace(config, space="elastic", box_head="pooled")
    model = {**MODELS["bgrnet"].parts, **MODELS["bgrnet"].network, "box_head": "pooled"}
    with pytest.raises(
        ValueError, match="'graph' needs a vector of features for each region, which the box head 'pooled' does not gi"
    ):
        PanopticConfig.from_json({**config.to_json(), **model})
