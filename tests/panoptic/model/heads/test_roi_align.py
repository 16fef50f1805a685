"""RoIAlign on a CPU against torchvision's operator."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.ops import roi_align as torchvision_roi_align

from autopanoptic.panoptic.model.heads.roi_align import roi_align


def boxes(images: int, count: int, height: int, width: int) -> Tensor:
    """Boxes of every size, unsorted; many leave the map, some are empty, turned over or far away."""
    generator = torch.Generator().manual_seed(count)
    extent = torch.tensor([width, height], dtype=torch.float64)
    corner = (torch.rand(count, 2, generator=generator) * 1.6 - 0.3) * extent
    size = torch.rand(count, 2, generator=generator) ** 2 * 1.2 * extent
    found = torch.cat((corner, corner + size), dim=1)
    found[0] = torch.tensor([3.0, 3.0, 3.0, 3.0])
    found[1] = torch.tensor([9.0, 9.0, 5.0, 4.0])
    found[2] = torch.tensor([-900.0, -900.0, -800.0, -800.0])
    found[3] = torch.tensor([0.0, 0.0, width, height])
    image = torch.randint(images, (count, 1), generator=generator)
    return torch.cat((image, found), dim=1)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize(("height", "width", "stride"), [(96, 64, 4), (96, 64, 8), (96, 64, 32), (32, 128, 32)])
def test_it_is_torchvisions(height: int, width: int, stride: int, samples: int, aligned: bool) -> None:
    shape = (3, 5, height // stride, width // stride)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    rois = boxes(3, 60, height, width)
    expected = torchvision_roi_align(x, rois, 7, 1 / stride, samples, aligned)
    found = roi_align(x, rois, 7, 1 / stride, samples, aligned)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    into = torch.randn_like(expected)
    (wanted,) = torch.autograd.grad(expected, x, into)
    (gradient,) = torch.autograd.grad(found, x, into)
    torch.testing.assert_close(gradient, wanted, rtol=1e-9, atol=1e-9)


def test_single_precision_agrees_to_a_millionth() -> None:
    x, rois = torch.rand(2, 8, 24, 24), boxes(2, 80, 96, 96).float()
    expected = torchvision_roi_align(x, rois, 10, 1 / 4, 2, True)
    torch.testing.assert_close(roi_align(x, rois, 10, 1 / 4, 2, True), expected, rtol=0, atol=2e-6)


def test_its_gradient_is_that_of_its_values() -> None:
    x = torch.randn(2, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    rois = boxes(2, 6, 20, 24)
    assert torch.autograd.gradcheck(lambda x: roi_align(x, rois, 3, 1 / 4, 2, True), x)


def test_no_box_gives_nothing() -> None:
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    assert roi_align(x, torch.zeros(0, 5), 7, 1 / 4, 1, True).shape == (0, 3, 7, 7)


def test_half_precision_is_pooled_in_single_precision() -> None:
    x, rois = torch.randn(2, 3, 8, 8).bfloat16(), boxes(2, 20, 32, 32).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = roi_align(x, rois, 7, 1 / 4, 2, True)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, roi_align(x.float(), rois, 7, 1 / 4, 2, True))


def test_shapes_alone_are_those_of_torchvisions_operator() -> None:
    x, rois = torch.empty(2, 3, 8, 8, device="meta"), torch.empty(20, 5, device="meta")
    assert roi_align(x, rois, 7, 1 / 4, 2, True).shape == (20, 3, 7, 7)
