"""The paths of a cycle, shared among the processes of a training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def check_sharing(*, same_batch: bool, compared: bool) -> None:
    """Refuse to share paths that need each other.

    Args:
        same_batch: whether the paths of a cycle run on one batch.
        compared: whether one teaches others, or their losses are compared.

    Raises:
        ValueError: says what to give instead.
    """
    if not same_batch:
        raise ValueError("share_paths=True shares the paths that run on one batch, so it needs same_batch=True.")
    if compared:
        raise ValueError(
            "With share_paths=True a process knows the losses of its own paths alone, so there can be no distillation "
            "and no ranking."
        )


def own_places(cycle: int, rank: int, world: int) -> range:
    """Return the places in a cycle of so many paths that are a process's own: consecutive ones, as many as others'.

    The first process, which logs and whose batch-norm statistics are kept, always has one.
    """
    return range(-(-cycle * rank // world), -(-cycle * (rank + 1) // world))


@contextmanager
def unsynchronized(trainer: Any) -> Iterator[None]:
    """Keep the gradients of a backward pass in this process, where there are several."""
    blocked = getattr(trainer.strategy, "block_backward_sync", nullcontext)
    with blocked():
        yield


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give each parameter the sum of its gradients over all processes, and none where no process has one."""
    weights = list(parameters)
    for weight, total in zip(weights, _sums(weights), strict=True):
        weight.grad = total


def mean_gradients(parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor | None]:
    """Return the mean of each parameter's gradients over all processes, None where no process has one."""
    totals = zip(parameters, _sums(list(parameters.values())), strict=True)
    return {name: None if total is None else total / dist.get_world_size() for name, total in totals}


def _sums(weights: list[nn.Parameter]) -> list[Tensor | None]:
    device = weights[0].device
    used = torch.tensor([weight.grad is not None for weight in weights], dtype=torch.uint8, device=device)
    dist.all_reduce(used, dist.ReduceOp.MAX)
    kept = [place for place, found in enumerate(used.tolist()) if found]
    sums: list[Tensor | None] = [None] * len(weights)
    for kind in dict.fromkeys(weights[place].dtype for place in kept):
        alike = [place for place in kept if weights[place].dtype == kind]
        for place, total in zip(alike, _sum([weights[place] for place in alike]), strict=True):
            sums[place] = total
    return sums


def _sum(weights: list[nn.Parameter]) -> list[Tensor]:
    whole = torch.cat(
        [(torch.zeros_like(weight) if weight.grad is None else weight.grad).flatten() for weight in weights]
    )
    dist.all_reduce(whole)
    parts = torch.split(whole, [weight.numel() for weight in weights])
    return [part.view_as(weight) for weight, part in zip(weights, parts, strict=True)]


def sum_losses(losses: dict[int, Tensor], cycle: int, device: torch.device) -> list[Tensor]:
    """Return the loss of each place in a cycle, of which every process brings its own."""
    whole = torch.zeros(cycle, device=device)
    for place, loss in losses.items():
        whole[place] = loss
    dist.all_reduce(whole)
    return list(whole)
