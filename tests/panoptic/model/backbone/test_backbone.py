from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from autopanoptic.nas import FlopCount, LayerChoice, ModelSpace, ParameterCount, Supernet
from autopanoptic.panoptic.model.backbone.build import build_backbone
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.operators.options import BLOCK_OPTIONS
from autopanoptic.panoptic.model.shapes import Features
from autopanoptic.panoptic.search.architecture_files import load_shipped


class BackboneSpace(ModelSpace):
    def __init__(self, config: PanopticConfig) -> None:
        super().__init__()
        self.backbone = build_backbone(config)

    def forward(self, images: torch.Tensor) -> Features:
        features: Features = self.backbone(images)
        return features


def on_meta(config: PanopticConfig) -> Supernet:
    with torch.device("meta"):
        return Supernet(BackboneSpace(config))


def blocks_of(name: str) -> dict[str, object]:
    return {label: option for label, option in load_shipped(name).items() if label.startswith("backbone.")}


@pytest.mark.parametrize(("name", "millions", "gmacs"), [("coco_3.8g", 21.63, 3.57), ("ade_3.8g", 24.95, 3.84)])
def test_published_backbones_have_the_published_size(name: str, millions: float, gmacs: float) -> None:
    supernet = on_meta(PanopticConfig.coco(searched=True))
    architecture = blocks_of(name)
    assert ParameterCount(supernet, unit=1e6)(architecture) == pytest.approx(millions, abs=0.005)
    flops = FlopCount(supernet, torch.empty(1, 3, 224, 224), unit=1e9)
    assert flops(architecture) == pytest.approx(gmacs, abs=0.005)


def test_paths_of_one_option_have_the_published_cost() -> None:
    supernet = on_meta(PanopticConfig.coco())
    flops = FlopCount(supernet, torch.empty(1, 3, 224, 224), unit=1e9)
    for option, gmacs in zip(BLOCK_OPTIONS, (1.04, 1.09, 1.16, 1.39), strict=True):
        path = dict.fromkeys((choice.label for choice in supernet.space.choices), option)
        assert flops(path) == pytest.approx(gmacs, rel=0.005), option


def test_declared_shapes_are_the_shapes_given(config: PanopticConfig, in_space: Callable[..., Any]) -> None:
    backbone = in_space(lambda: build_backbone(config))
    features = backbone(torch.randn(2, 3, 64, 96))
    assert list(features) == list(backbone.output_shape) == ["c2", "c3", "c4", "c5"]
    for level, shape in backbone.output_shape.items():
        assert features[level].shape == (2, shape.channels, 64 // shape.stride, 96 // shape.stride)


def test_choices_are_numbered_over_all_stages(config: PanopticConfig, in_space: Callable[..., Any]) -> None:
    labels = [m.label for m in in_space(lambda: build_backbone(config)).modules() if isinstance(m, LayerChoice)]
    assert labels == [f"backbone.{index}" for index in range(6)]


def depthwise(module: nn.Module) -> list[nn.Conv2d]:
    return [m for m in module.modules() if isinstance(m, nn.Conv2d) and m.groups == m.in_channels > 1]


def test_no_depthwise_kernel_is_drawn_larger_than_its_fan_in_asks_for(config: PanopticConfig) -> None:
    found = depthwise(PanopticNetwork(replace(config, neck="search")))
    assert len({m.kernel_size for m in found}) == 3
    for convolution in found:
        assert convolution.weight.detach().std() < 1.2 / convolution.kernel_size[0], convolution


def test_training_changes_depthwise_kernels(config: PanopticConfig, make_batch: Callable[..., dict[str, Any]]) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = PanopticNetwork(config)
    Supernet(network)  # activates the first path
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    kernel = depthwise(network.backbone)[0].weight
    before = kernel.detach().clone()
    batch = make_batch([(64, 64)] * 2, [2, 2], padded=64)
    for step in range(5):
        optimizer.zero_grad()
        network.losses(**batch, generator=torch.Generator().manual_seed(step))["total"].backward()
        optimizer.step()
    # Five steps of 3e-3 are a tenth of a kernel of 1/9, and a hundredth of one of 1.
    assert (kernel.detach() - before).norm() > 0.05 * before.norm()
