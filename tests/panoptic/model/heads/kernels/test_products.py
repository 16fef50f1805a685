"""Products by whichever library are torch's."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from autopanoptic.panoptic.model.heads.kernels import products


@pytest.mark.parametrize("is_amd", [True, False])
@pytest.mark.parametrize("rows", [0, 3, 70])
def test_a_linear_layer_and_its_derivatives_are_torchs(
    rows: int, is_amd: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "_is_amd", lambda: is_amd)
    products._operator.cache_clear()
    inputs = [torch.randn(shape, requires_grad=True) for shape in ((rows, 40), (24, 40), (24,))]
    found, expected = products.linear(*inputs), functional.linear(*inputs)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    gradients = [torch.autograd.grad(value.square().sum(), inputs) for value in (found, expected)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-3)
    assert (products._operator() is not None) == is_amd
    products._operator.cache_clear()


def test_only_what_learns_has_a_gradient() -> None:
    x, weight = torch.randn(5, 4), torch.randn(3, 4, requires_grad=True)
    products.linear(x, weight, None).sum().backward()
    torch.testing.assert_close(weight.grad, x.sum(0).expand(3, -1))
