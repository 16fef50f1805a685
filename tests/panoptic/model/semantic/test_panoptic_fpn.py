"""Panoptic FPN's semantic branch against its description (Kirillov et al. 2019, section 3.2 and figure 3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.padding import padded
from autopanoptic.panoptic.model.semantic.panoptic_fpn import PanopticFPNHead
from autopanoptic.panoptic.model.shapes import FeatureShape


def head_of(config: PanopticConfig, in_space: Callable[..., Any], channels: int) -> PanopticFPNHead:
    shapes = {f"p{level}": FeatureShape(channels, 2**level) for level in range(2, 7)}
    found: PanopticFPNHead = in_space(lambda: PanopticFPNHead(config, shapes))
    return found


def pyramid_of(channels: int, side: int = 32, batch: int = 2) -> dict[str, torch.Tensor]:
    drawn = torch.Generator().manual_seed(0)
    return {f"p{2 + n}": torch.randn(batch, channels, side >> n, side >> n, generator=drawn) for n in range(5)}


def test_the_papers_branch_has_the_parameters_of_its_description(in_space: Callable[..., Any]) -> None:
    with torch.device("meta"):
        head = head_of(PanopticConfig.coco(), in_space, 256)
    # P2 and P3 have one stage, P4 two, P5 three: the first of each reads 256 channels, the others 128.
    stages = 4 * 256 * 128 * 9 + (0 + 0 + 1 + 2) * 128 * 128 * 9
    norms = (1 + 1 + 2 + 3) * 2 * 128
    assert sum(p.numel() for p in head.layers.parameters()) == stages + norms
    assert sum(p.numel() for p in head.score.parameters()) == 54 * (128 + 1)
    kinds = [type(layer).__name__ for layer in head.layers["p5"]]
    assert kinds == ["Conv2d", "GroupNorm", "ReLU", "_Double"] * 3
    assert [type(layer).__name__ for layer in head.layers["p2"]] == ["Conv2d", "GroupNorm", "ReLU"]
    assert [sum(isinstance(one, nn.Conv2d) for one in stage) for stage in head.layers.values()] == [1, 1, 2, 3]


def test_the_levels_are_upsampled_summed_and_scored(config: PanopticConfig, in_space: Callable[..., Any]) -> None:
    channels = config.pyramid_channels
    head, pyramid = head_of(config, in_space, channels), pyramid_of(channels)
    total: torch.Tensor | int = 0
    for level, doublings in (("p2", 0), ("p3", 1), ("p4", 2), ("p5", 3)):
        x, stage = pyramid[level], iter(head.layers[level])
        for _ in range(max(doublings, 1)):
            x = functional.conv2d(x, next(stage).weight, padding=1)
            norm = next(stage)
            x = functional.group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps).relu()
            next(stage)
            if doublings:
                x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
                next(stage)
        total = total + x
    logits = head.classify(head(pyramid))
    assert logits.shape == (2, 1 + config.num_stuff, 32, 32)
    torch.testing.assert_close(logits, functional.conv2d(total, head.score.weight, head.score.bias))  # type: ignore[arg-type]
    assert not head.output_shape


def test_padding_is_not_seen(config: PanopticConfig, in_space: Callable[..., Any]) -> None:
    channels = config.pyramid_channels
    head = head_of(config, in_space, channels)
    alone = {level: x[..., : x.shape[-1] // 2] for level, x in pyramid_of(channels, batch=1).items()}
    beside = {level: functional.pad(x, (0, x.shape[-1])) for level, x in alone.items()}
    expected = head.classify(head(alone))
    with padded(torch.zeros(1, 3, 128, 128), [(128, 64)]):
        found = head.classify(head(beside))
    torch.testing.assert_close(found[..., :16], expected)


@pytest.mark.parametrize("space", ["auto-panoptic", "elastic"])
def test_every_parameter_learns(config: PanopticConfig, in_space: Callable[..., Any], space: str) -> None:
    head = head_of(replace(config, space=space, semantic_head="panoptic-fpn", fusion="none"), in_space, 48)
    head.classify(head(pyramid_of(48))).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in head.parameters())
