"""The mask predictor's layers in a training on a CPU, cell by cell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from autopanoptic.panoptic.model.heads.kernels.products import product

AT_ONCE = 2**19
"""Hidden values (2 MiB) that are computed at a time: what follows finds them in the processor's cache."""


def mask_cells(x: Tensor, kernel: Tensor, bias: Tensor, score: Tensor, score_bias: Tensor) -> Tensor:
    """Upsample cells by a transposed convolution of stride 2, rectify them and score the classes.

    Two matrix products and what is between them. Torch would take each over all cells before the next, forward and
    backward, and write gigabytes where memory is the slowest part.

    Args:
        x: Cells, (N, C_in).
        kernel: (4 C, C_in), the rows of each of the four places one after the other.
        bias: (4 C,).
        score: (K, C).
        score_bias: (K,).

    Returns:
        Logits of the four cells of each, (4 N, K).
    """
    logits: Tensor = _MaskCells.apply(x, kernel, bias, score, score_bias)
    return logits


class _MaskCells(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, bias: Tensor, score: Tensor, score_bias: Tensor) -> Tensor:
        hidden: list[Tensor] = []
        logits = x.new_empty((4 * len(x), len(score)))
        for cells, parts in _blocks(len(x), len(kernel)):
            hidden.append(product(x[cells], kernel, bias).relu_())
            torch.addmm(score_bias, hidden[-1].view(-1, score.shape[1]), score.T, out=logits[parts])
        ctx.save_for_backward(x, kernel, score, *hidden)
        return logits

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        x, kernel, score, *hidden = ctx.saved_tensors
        of_x, of_bias = torch.empty_like(x), kernel.new_zeros(len(kernel))
        of_kernel, of_score = torch.zeros_like(kernel), torch.zeros_like(score)
        for values, (cells, parts) in zip(hidden, _blocks(len(x), len(kernel)), strict=True):
            of_score.addmm_(gradient[parts].T, values.view(-1, score.shape[1]))
            inner = (gradient[parts] @ score).view_as(values)
            torch.ops.aten.threshold_backward.grad_input(inner, values, 0, grad_input=inner)
            of_x[cells] = product(inner, kernel.T)
            of_kernel.addmm_(inner.T, x[cells])
            of_bias += inner.sum(0)
        return of_x, of_kernel, of_bias, of_score, gradient.sum(0)


def _blocks(count: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Some of the cells at a time, and the four times as many of the logits."""
    rows = max(1, AT_ONCE // width)
    for first in range(0, count, rows):
        last = min(count, first + rows)
        yield slice(first, last), slice(4 * first, 4 * last)
