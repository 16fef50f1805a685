"""Products by whichever library are torch's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch.nn import functional

from autopanoptic.panoptic.model.heads.kernels import products


@pytest.fixture(autouse=True)
def _choose_again() -> Iterator[None]:
    products._operator.cache_clear()
    yield
    products._operator.cache_clear()


@pytest.mark.parametrize("is_amd", [True, False])
@pytest.mark.parametrize("rows", [0, 3, 70])
def test_a_linear_layer_and_its_derivatives_are_torchs(
    rows: int, is_amd: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(products, "_is_amd", lambda: is_amd)
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(shape, generator=generator).requires_grad_() for shape in ((rows, 40), (24, 40), (24,))]
    found, expected = products.linear(*inputs), functional.linear(*inputs)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    gradients = [torch.autograd.grad(value.square().sum(), inputs) for value in (found, expected)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-3)
    libraries = torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    assert (products._operator() is not None) == (is_amd and libraries)


def test_only_what_learns_has_a_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(rows, 4, generator=generator) for rows in (5, 3))
    weight.requires_grad_()
    products.linear(x, weight, None).sum().backward()
    torch.testing.assert_close(weight.grad, x.sum(0).expand(3, -1))
