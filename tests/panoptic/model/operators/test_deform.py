import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from torchvision.ops import deform_conv2d as torchvision_deform_conv2d

from autopanoptic.panoptic.model.operators import deform
from autopanoptic.panoptic.model.operators.deform import FLOP_FORMULAS, deform_conv2d


def arguments(kernel: int, dtype: torch.dtype, batch: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(kernel)
    shapes = [
        (batch, 6, 9, 13),
        (batch, 2 * kernel**2, 9, 13),
        (batch, kernel**2, 9, 13),
        (4, 6, kernel, kernel),
        (4,),
    ]
    tensors = [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]
    tensors[1] *= 3  # many taps leave the map
    return [tensor.requires_grad_() for tensor in tensors]


@pytest.mark.parametrize("large", [deform.LARGE, 0])
@pytest.mark.parametrize("kernel", [3, 5])
def test_equals_torchvision_forward_and_backward(monkeypatch: pytest.MonkeyPatch, kernel: int, large: int) -> None:
    monkeypatch.setattr(deform, "LARGE", large)
    inputs = arguments(kernel, torch.float64)
    x, offset, modulation, weight, bias = inputs
    ours = deform_conv2d(*inputs)
    theirs = torchvision_deform_conv2d(x, offset, weight, bias, padding=kernel // 2, mask=modulation)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    gradient = torch.randn_like(ours)
    for our, their in zip(
        torch.autograd.grad(ours, inputs, gradient), torch.autograd.grad(theirs, inputs, gradient), strict=True
    ):
        torch.testing.assert_close(our, their, rtol=1e-9, atol=1e-9)


def test_without_modulation_every_tap_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x, offset, modulation, weight, bias = arguments(3, torch.float64)
    theirs = torchvision_deform_conv2d(x, offset, weight, bias, padding=1)
    for large in (deform.LARGE, 0):
        monkeypatch.setattr(deform, "LARGE", large)
        ours = deform_conv2d(x, offset, None, weight, bias)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
        ones = deform_conv2d(x, offset, torch.ones_like(modulation), weight, bias)
        torch.testing.assert_close(ours, ones, rtol=0, atol=1e-12)
    gradients = [torch.autograd.grad(out.sin().sum(), (x, offset, weight, bias)) for out in (ours, theirs)]
    for our, their in zip(*gradients, strict=True):
        torch.testing.assert_close(our, their, rtol=1e-9, atol=1e-9)


def test_single_precision_is_close() -> None:
    x, offset, modulation, weight, bias = (t.detach() for t in arguments(3, torch.float32))
    theirs = torchvision_deform_conv2d(x, offset, weight, bias, padding=1, mask=modulation)
    torch.testing.assert_close(deform_conv2d(x, offset, modulation, weight, bias), theirs, rtol=0, atol=2e-5)


@pytest.mark.parametrize("autocast", [True, False])
def test_bfloat16_keeps_the_taps_in_place(autocast: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(1, 6, 4, 200), (1, 18, 4, 200), (1, 9, 4, 200), (4, 6, 3, 3), (4,)]
    rounded = [torch.randn(shape, generator=generator).bfloat16() for shape in shapes]
    exact = deform_conv2d(*(tensor.float() for tensor in rounded))
    weights = (tensor.float() for tensor in rounded[3:])
    inputs = [*rounded[:3], *weights] if autocast else rounded
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = deform_conv2d(*inputs)
    assert found.dtype == torch.bfloat16
    assert (found.float() - exact).abs().mean() < 0.005 * exact.abs().mean()


def test_an_empty_batch_gives_an_empty_result() -> None:
    inputs = arguments(3, torch.float32, batch=0)
    out = deform_conv2d(*inputs)
    assert out.shape == (0, 4, 9, 13)
    out.sum().backward()
    assert inputs[3].grad is not None


def test_both_formulations_count_the_same_operations() -> None:
    x, offset, modulation, weight, bias = (t.detach().to("meta") for t in arguments(5, torch.float32))
    with FlopCounterMode(display=False) as sampled:
        assert deform_conv2d(x, offset, modulation, weight, bias).shape == (2, 4, 9, 13)
    with FlopCounterMode(display=False, custom_mapping=FLOP_FORMULAS) as fused:
        torchvision_deform_conv2d(x, offset, weight, bias, padding=2, mask=modulation)
    assert sampled.get_total_flops() == fused.get_total_flops() == 2 * (2 * 9 * 13) * 4 * 6 * 25
