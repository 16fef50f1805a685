from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional

from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.semantic.searched import SegmentationHead
from autopanoptic.panoptic.model.shapes import FeatureShape


@pytest.fixture
def head(config: PanopticConfig, in_space: Callable[..., Any]) -> SegmentationHead:
    shapes = {f"p{level}": FeatureShape(48, 2**level) for level in range(2, 7)}
    head: SegmentationHead = in_space(lambda: SegmentationHead(config, shapes))
    return head


@pytest.mark.parametrize("align_corners", [True, False])
def test_scoring_each_level_equals_scoring_the_concatenation(
    config: PanopticConfig, in_space: Callable[..., Any], align_corners: bool
) -> None:
    shapes = {f"p{level}": FeatureShape(48, 2**level) for level in range(2, 7)}
    head = in_space(lambda: SegmentationHead(replace(config, segmentation_align_corners=align_corners), shapes))
    features = {f"p{level}": torch.randn(2, 24, 64 // 2**level, 96 // 2**level) for level in range(2, 6)}
    size = features["p2"].shape[-2:]
    upsampled = [
        functional.interpolate(x, size=size, mode="bilinear", align_corners=align_corners) for x in features.values()
    ]
    expected = head.score(torch.cat(upsampled, dim=1))
    torch.testing.assert_close(head.classify(features), expected, rtol=1e-4, atol=1e-5)


def test_layers_are_shared_over_the_levels(head: SegmentationHead) -> None:
    x = torch.randn(1, 48, 8, 8)
    features = head({f"p{level}": x for level in range(2, 7)})
    assert list(features) == list(head.output_shape) == ["p2", "p3", "p4", "p5"]
    for out in features.values():
        assert out.shape == (1, 24, 8, 8)
        torch.testing.assert_close(out, features["p2"])
