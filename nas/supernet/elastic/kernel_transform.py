"""Once-for-all's transformation of a kernel into smaller ones (Cai et al. 2020, section 3.3)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from autopanoptic.nas.supernet.elastic.sizes import Kernel


def transforms(kernel: Kernel, *, device: object = None, dtype: object = None) -> dict[int, nn.Parameter]:
    """Return a matrix for each kernel size but the largest, of shape (size^2, size^2); the identity at first.

    It makes the kernel of its size from the centre of the next larger one, and is shared by all pairs of channels of a
    layer.
    """
    sizes = kernel.options[:-1]
    return {size: nn.Parameter(torch.eye(size * size, device=device, dtype=dtype)) for size in sizes}  # type: ignore[call-overload]


def transformed(weight: Tensor, size: int, matrices: Mapping[int, Tensor]) -> Tensor:
    """Return a smaller kernel.

    Args:
        weight: of the largest kernel, of shape (out_channels, in_channels, k, k).
        size: of the kernel to return.
        matrices: by kernel size.

    Returns:
        A weight of shape (out_channels, in_channels, size, size). On the meta device it is the centre of the kernel, so
        that no count has the work on weights, of which a subnet has none.
    """
    for smaller in sorted(matrices, reverse=True):
        if size <= smaller < weight.shape[-1]:
            start = (weight.shape[-1] - smaller) // 2
            weight = weight[..., start : start + smaller, start : start + smaller]
            if not weight.is_meta:
                weight = _times(weight, matrices[smaller])
    return weight.contiguous()


def _times(weight: Tensor, matrix: Tensor) -> Tensor:
    # In lower precision the kernel would be rounded twice, and a subnet's, which is copied outside of it, once.
    with torch.autocast(weight.device.type, enabled=False):
        return functional.linear(weight.flatten(2), matrix).view_as(weight)
