"""Between host and device without making the host wait for the device.

A copy between pageable memory and a GPU waits for all that the GPU has still to do, and so does an operation whose
shape depends on data. The host then cannot queue the kernels that follow, and the device idles.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def send(x: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor of the host to a device, through page-locked memory where it is a GPU, without a wait."""
    if device.type == "cuda" and x.device.type == "cpu":
        x = x.pin_memory()
    # What comes to the host without a wait may be read before it is there.
    return x.to(device, non_blocking=device.type == "cuda")


def on_device(values: Any, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """Return numbers of the host as a tensor on a device, without a wait; ``torch.tensor(..., device=...)`` waits."""
    return send(torch.tensor(values, dtype=dtype), device)


def places(mask: Tensor, count: int) -> Tensor:
    """Return where a mask (N,) is true, ascending, int64 (count,); the count must be right.

    As ``mask.nonzero()``, which waits to learn the count.
    """
    if mask.device.type == "cpu":
        return mask.nonzero()[:, 0]
    ranks = torch.where(mask, mask.cumsum(0) - 1, count)
    found = torch.zeros(count + 1, dtype=torch.int64, device=mask.device)
    # What is false is written behind the end.
    return found.scatter_(0, ranks, torch.arange(len(mask), device=mask.device))[:count]


def count_values(values: Tensor, number: int) -> Tensor:
    """Return how often each of 0, 1, ... occurs among integers below a number, int64 (number,).

    As ``values.bincount()``, which waits to learn the smallest and the largest; others than these are not counted.
    """
    if values.device.type == "cpu":
        return values.flatten().bincount(minlength=number)[:number]
    # In double precision, which counts to 2^53 and not to 2^24. The last bin has both its ends.
    return values.double().histc(number + 1, 0, number + 1)[:number].long()
