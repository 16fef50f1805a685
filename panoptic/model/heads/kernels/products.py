"""Matrix products of a training on a CPU.

torch takes them from MKL, which on AMD's processors reaches some 80% of their rate; oneDNN, from which torch takes
convolutions, reaches 90%. Which of them computes depends on the processor alone, so that trainings repeat.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """As torch's: (N, C), (O, C) and (O,) to (N, O)."""
    if x.device.type != "cpu" or not torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
        return functional.linear(x, weight, bias)
    found: Tensor = _Linear.apply(x, weight, bias)
    return found


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """As `linear`, without a derivative."""
    operator = _operator()
    if operator is None or x.dtype != torch.float32 or not x.numel():
        return functional.linear(x, weight, bias)
    return operator(x, weight, bias, "none", [], "")


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            product(gradient, weight.T) if of_x else None,
            product(gradient.T, x.T) if of_weight else None,
            gradient.sum(0) if of_bias else None,
        )


@cache
def _operator() -> Callable[..., Tensor] | None:
    """OneDNN's product, which torch's compiler calls too, where it is faster; None elsewhere."""
    libraries = torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not (_is_amd() and libraries):
        return None
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)


def _is_amd() -> bool:
    described = Path("/proc/cpuinfo")
    return described.exists() and "AuthenticAMD" in described.read_text()
