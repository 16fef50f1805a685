"""The options of a block."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from autopanoptic.panoptic.model.backbone.blocks import ShuffleBlock
from autopanoptic.panoptic.model.operators.options import BLOCK_OPTIONS


@pytest.mark.parametrize("option", BLOCK_OPTIONS)
def test_stride_1_passes_every_other_channel_unchanged(option: str) -> None:
    block = ShuffleBlock(8, 8, 1, option, 0.1)
    x = torch.randn(2, 8, 6, 6)
    out = block(x)
    torch.testing.assert_close(out[:, :4], x[:, [0, 4, 1, 5]])
    assert (out[:, 4:] >= 0).all()


@pytest.mark.parametrize("option", BLOCK_OPTIONS)
def test_stride_2_concatenates_projection_and_branch(option: str) -> None:
    block = ShuffleBlock(6, 16, 2, option, 0.1)
    assert block.projection is not None
    x = torch.randn(2, 6, 8, 10)
    out = block(x)
    assert out.shape == (2, 16, 4, 5)
    assert (out >= 0).all()
    assert block.projection[0].kernel_size == (int(option[-1]),) * 2


@pytest.mark.parametrize("option", BLOCK_OPTIONS)
@pytest.mark.parametrize("stride", [1, 2])
def test_kernels_are_drawn_as_asked_for(option: str, stride: int) -> None:
    for init in ("published", "fan_in"):
        block = ShuffleBlock(128, 128 * stride, stride, option, 0.1, init)
        for convolution in (m for m in block.modules() if isinstance(m, nn.Conv2d)):
            fan_in = convolution.weight[0].numel()
            published = convolution.groups / convolution.in_channels
            expected = published if init == "published" else 1 / fan_in
            assert convolution.weight.detach().std() / expected == pytest.approx(1, abs=0.15)
