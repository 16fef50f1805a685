"""The active part of a tensor: for each dimension a prefix, several prefixes after each other, or a centre."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from autopanoptic.nas.supernet.elastic.sizes import ElasticSize

Layout: TypeAlias = Sequence[ElasticSize]
"""The size of each dimension of a tensor; its largest is the tensor's extent."""


def active_part(tensor: Tensor, layout: Layout) -> Tensor:
    """Return the active part of a tensor, as memory of its own or that of the tensor, without gaps in either.

    Gradients flow back to the slice alone. A subnet's tensor has the same memory layout, so that both give the same
    results bit for bit; it is that of the whole tensor, also where channels come last.
    """
    channels_last = tensor.ndim == 4 and not tensor.is_contiguous()
    for dimension, size in enumerate(layout):
        tensor = _slice(tensor, dimension, size)
    return tensor.contiguous(memory_format=torch.channels_last) if channels_last else tensor.contiguous()


def active_shape(layout: Layout) -> tuple[int, ...]:
    """Return the shape of the active part."""
    return tuple(size.active for size in layout)


def write_back(tensor: Tensor, size: ElasticSize, values: Tensor) -> None:
    """Write the values of the active part into a tensor of one dimension."""
    written = 0
    for start, count in size.spans():
        tensor[start : start + count] = values[written : written + count]
        written += count


def _slice(tensor: Tensor, dimension: int, size: ElasticSize) -> Tensor:
    if size.active == tensor.shape[dimension]:
        return tensor
    slices = [tensor.narrow(dimension, start, count) for start, count in size.spans()]
    return slices[0] if len(slices) == 1 else torch.cat(slices, dimension)
