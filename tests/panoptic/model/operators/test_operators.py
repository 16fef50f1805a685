from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional

from autopanoptic.panoptic.model.operators.operators import Deformable, head_layer
from autopanoptic.panoptic.model.operators.options import HEAD_OPTIONS

# Depthwise k^2 C + C and pointwise C^2 + C; k^2 C^2 + C; the same and an offset convolution to 3 k^2.
PARAMETERS = {"dw3": 68352, "dw5": 72448, "df3": 652315, "df5": 2118731, "at3": 590080, "at5": 1638656}


@pytest.mark.parametrize("option", HEAD_OPTIONS)
def test_parameters_at_256_channels(in_space: Callable[..., Any], option: str) -> None:
    with torch.device("meta"):
        choice = in_space(lambda: head_layer(256, 256, 32, "layer"))[0]
    assert sum(p.numel() for p in choice[option].parameters()) == PARAMETERS[option]


@pytest.mark.parametrize("option", HEAD_OPTIONS)
def test_every_option_keeps_the_size_and_gets_gradients(in_space: Callable[..., Any], option: str) -> None:
    layer = in_space(lambda: head_layer(16, 32, 8, "layer"))[0][option]
    x = torch.randn(2, 16, 7, 11, requires_grad=True)
    out = layer(x)
    assert out.shape == (2, 32, 7, 11)
    out.square().sum().backward()
    assert x.grad is not None
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in layer.parameters())


def test_a_new_deformable_convolution_is_half_a_plain_one() -> None:
    layer = Deformable(4, 6, 3)
    x = torch.randn(2, 4, 8, 9)
    expected = functional.conv2d(x, layer.weight, padding=1) / 2
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-6)


def test_dilated_kernels_reach_twice_as_far(in_space: Callable[..., Any]) -> None:
    choice = in_space(lambda: head_layer(8, 8, 8, "layer"))[0]
    x = torch.zeros(1, 8, 15, 15)
    x[:, :, 7, 7] = 1
    for option, reach in (("dw3", 1), ("dw5", 2), ("at3", 2), ("at5", 4)):
        touched = (choice[option](x) - choice[option](torch.zeros_like(x))).abs().sum(dim=(0, 1)) > 1e-7
        rows = torch.where(touched.any(dim=1))[0]
        assert (rows.min().item(), rows.max().item()) == (7 - reach, 7 + reach)
