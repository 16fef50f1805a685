from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from autopanoptic.nas import LayerChoice
from autopanoptic.panoptic.model.backbone.build import build_backbone
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.neck.bifpn import WeightedSum
from autopanoptic.panoptic.model.neck.neck import Neck


@pytest.mark.parametrize("kind", ["fpn", "panet", "bifpn"])
def test_declared_shapes_are_the_shapes_given(config: PanopticConfig, in_space: Callable[..., Any], kind: str) -> None:
    backbone = in_space(lambda: build_backbone(config))
    neck = Neck(replace(config, neck=kind), backbone.output_shape)
    pyramid = neck(backbone(torch.randn(2, 3, 96, 160)))
    assert list(pyramid) == list(neck.output_shape) == ["p2", "p3", "p4", "p5", "p6"]
    for level, shape in neck.output_shape.items():
        assert pyramid[level].shape == (2, 48, -(-96 // shape.stride), -(-160 // shape.stride))
    sum(x.square().sum() for x in pyramid.values()).backward()
    assert all(p.grad is not None for p in neck.parameters())


def test_p6_subsamples_p5(config: PanopticConfig, in_space: Callable[..., Any]) -> None:
    backbone = in_space(lambda: build_backbone(config))
    pyramid = Neck(config, backbone.output_shape)(backbone(torch.randn(1, 3, 96, 96)))
    torch.testing.assert_close(pyramid["p6"], pyramid["p5"][:, :, ::2, ::2])


def test_the_fpn_has_no_biases_beside_its_norms(config: PanopticConfig, in_space: Callable[..., Any]) -> None:
    neck = Neck(config, in_space(lambda: build_backbone(config)).output_shape)
    convolutions = [m for m in neck.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 8
    assert all(m.bias is None for m in convolutions)
    assert sum(isinstance(m, torch.nn.GroupNorm) for m in neck.modules()) == 8


def test_a_searched_neck_is_a_choice(config: PanopticConfig, in_space: Callable[..., Any]) -> None:
    shape = in_space(lambda: build_backbone(config)).output_shape
    neck = in_space(lambda: Neck(replace(config, neck="search"), shape))
    (choice,) = [m for m in neck.modules() if isinstance(m, LayerChoice)]
    assert (choice.label, choice.names) == ("neck", ["fpn", "panet", "bifpn"])


def test_weights_of_a_fusion_are_normalised_and_never_negative() -> None:
    fuse = WeightedSum(2, 8, 4)
    a, b = torch.randn(1, 8, 5, 5), torch.randn(1, 8, 5, 5)
    with torch.no_grad():
        fuse.weight.copy_(torch.tensor([3.0, -1.0]))
    torch.testing.assert_close(fuse(a, b), fuse.mix(a * 3 / 3.0001))
