from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.operators.deformable import Deformable
from autopanoptic.panoptic.model.operators.kernels import spread
from autopanoptic.panoptic.model.operators.options import HEAD_OPTIONS
from autopanoptic.panoptic.model.parts.kinds import HeadOperator
from autopanoptic.panoptic.model.parts.registry import part_of

# Depthwise k^2 C + C and pointwise C^2 + C; k^2 C^2 + C; the same and an offset convolution to 3 k^2.
PARAMETERS = {"dw3": 68352, "dw5": 72448, "df3": 652315, "df5": 2118731, "at3": 590080, "at5": 1638656}


@pytest.mark.parametrize("option", HEAD_OPTIONS)
def test_parameters_at_256_channels(option: str) -> None:
    with torch.device("meta"):
        layer = part_of(HeadOperator, option).build(256, 256)
    assert sum(p.numel() for p in layer.parameters()) == PARAMETERS[option]


@pytest.mark.parametrize("option", HEAD_OPTIONS)
def test_every_option_keeps_the_size_and_gets_gradients(option: str) -> None:
    layer = part_of(HeadOperator, option).build(16, 32)
    x = torch.randn(2, 16, 7, 11, requires_grad=True)
    out = layer(x)
    assert out.shape == (2, 32, 7, 11)
    out.square().sum().backward()
    assert x.grad is not None
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in layer.parameters())


@pytest.mark.parametrize(("modulated", "share"), [(True, 0.5), (False, 1.0)])
def test_a_new_deformable_convolution_is_half_a_plain_one_and_unmodulated_a_whole(
    modulated: bool, share: float
) -> None:
    layer = Deformable(4, 6, 3, modulated=modulated)
    x = torch.randn(2, 4, 8, 9)
    expected = functional.conv2d(x, layer.weight, padding=1) * share
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-6)


def test_dilated_kernels_reach_twice_as_far() -> None:
    x = torch.zeros(1, 8, 15, 15)
    x[:, :, 7, 7] = 1
    for option, reach in (("dw3", 1), ("dw5", 2), ("at3", 2), ("at5", 4)):
        layer = part_of(HeadOperator, option).build(8, 8)
        touched = (layer(x) - layer(torch.zeros_like(x))).abs().sum(dim=(0, 1)) > 1e-7
        rows = torch.where(touched.any(dim=1))[0]
        assert (rows.min().item(), rows.max().item()) == (7 - reach, 7 + reach)


def test_a_spread_kernel_agrees_on_linear_features() -> None:
    kernel = torch.randn(1, 1, 3, 3, dtype=torch.float64)
    rows, columns = torch.meshgrid(torch.arange(11.0), torch.arange(11.0), indexing="ij")
    ramp = (2 * rows - 3 * columns + 1)[None, None].double()
    plain = functional.conv2d(ramp, kernel)[..., 1:-1, 1:-1]
    torch.testing.assert_close(functional.conv2d(ramp, spread(kernel), dilation=2), plain)


@pytest.mark.parametrize("names", [(), ("dw3", "dw3"), ("dw3", 5)])
def test_the_config_needs_names(names: tuple[object, ...]) -> None:
    with pytest.raises(ValueError, match="head_operators must hold at least one name, each once"):
        replace(PanopticConfig(), head_operators=names)  # type: ignore[arg-type]
