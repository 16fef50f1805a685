"""RoIAlign over the pyramid."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torchvision.ops import roi_align

from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.heads.pooling import PyramidRoIAlign
from autopanoptic.panoptic.model.shapes import FeatureShape

SHAPES = {f"p{level}": FeatureShape(48, 2**level) for level in range(2, 7)}
POOLED = {level: SHAPES[level] for level in ("p2", "p3", "p4", "p5")}


@pytest.fixture
def pyramid() -> dict[str, torch.Tensor]:
    return {level: torch.randn(2, 48, -(-96 // s.stride), -(-96 // s.stride)) for level, s in SHAPES.items()}


def test_each_roi_is_pooled_from_the_level_of_its_size(
    config: PanopticConfig, pyramid: dict[str, torch.Tensor]
) -> None:
    pool = PyramidRoIAlign(replace(config, roi_canonical_size=56), POOLED, 7)
    boxes = torch.tensor([[2.0, 2, 22, 22], [0, 0, 40, 30], [5, 5, 70, 80], [0, 0, 1.5, 1.5]])
    pooled = pool(pyramid, [boxes, boxes[:0]], [(20, 24), (96, 96)])
    for index, level in enumerate(("p2", "p3", "p4", "p2")):
        roi = torch.cat((torch.zeros(1, 1), boxes[index : index + 1]), dim=1)
        expected = roi_align(pyramid[level], roi, 7, 1 / SHAPES[level].stride, config.roi_sampling_ratio, True)
        torch.testing.assert_close(pooled[index], expected[0])


@pytest.mark.parametrize(("aligned", "shift"), [(True, 0.0), (False, 2.0)])
def test_features_are_read_where_the_box_is(config: PanopticConfig, aligned: bool, shift: float) -> None:
    # Cell i of P2 lies around pixel 4 i + 2; each of its two channels holds its own x or y.
    centres = 4 * torch.arange(24.0) + 2
    ramp = torch.stack(torch.broadcast_tensors(centres[None, :], centres[:, None]))[None]
    pool = PyramidRoIAlign(replace(config, roi_aligned=aligned), POOLED, 5)
    empty = {level: torch.zeros(1, 2, 24, 24) for level in POOLED}
    (pooled,) = pool({**empty, "p2": ramp}, [torch.tensor([[20.0, 30.0, 40.0, 60.0]])], [(96, 96)])
    expected = torch.stack(
        torch.broadcast_tensors(20 + 4 * (torch.arange(5) + 0.5), (30 + 6 * (torch.arange(5) + 0.5))[:, None])
    )
    torch.testing.assert_close(pooled, expected + shift)


def test_a_count_of_operations_pools_the_whole_map(config: PanopticConfig, pyramid: dict[str, torch.Tensor]) -> None:
    pool = PyramidRoIAlign(config, POOLED, 7)
    boxes = torch.tensor([[0.0, 0, 96, 96]])
    expected = roi_align(pyramid["p2"], [boxes, boxes], 7, 1 / 4, config.roi_sampling_ratio, True)
    torch.testing.assert_close(pool.pool_fixed(pyramid, 2), expected.repeat_interleave(2, dim=0))
