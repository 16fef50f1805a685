"""Batch normalisation's statistics for one path of a supernet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from autopanoptic.nas.supernet.state import evaluating
from autopanoptic.nas.supernet.supernet import Supernet


@contextmanager
def recalibrated(
    supernet: Supernet,
    batches: Iterable[Any],
    forward: Callable[[nn.Module, Any], object] | None = None,
) -> Iterator[None]:
    """Re-estimate the active path's batch-norm statistics, and put the old ones back at the end.

    The statistics that a supernet gathers mix all paths, so a single path needs its own before it is evaluated
    (Guo et al. 2020, section 3.4). They are the cumulative average over the batches.

    Args:
        supernet: its active path is recalibrated.
        batches: gone through once.
        forward: runs the network on a batch; ``network(batch)`` by default.

    Yields:
        Nothing; inside the block the statistics are the path's own, and every module is in its former mode.

    Raises:
        ValueError: when there is no batch, or a norm of the path saw none, because ``forward`` does not run it.
    """
    run = forward or (lambda network, batch: network(batch))
    norms = [m for m in supernet.active_modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    saved = [({name: buffer.clone() for name, buffer in m.named_buffers()}, m.momentum) for m in norms]
    try:
        with evaluating(supernet.module), torch.no_grad():
            _estimate(supernet.module, norms, batches, run)
        _check_seen(supernet.module, norms)
        yield
    finally:
        for norm, (buffers, momentum) in zip(norms, saved, strict=True):
            norm.momentum = momentum
            for name, buffer in norm.named_buffers():
                buffer.copy_(buffers[name])


def _estimate(
    network: nn.Module, norms: list[_BatchNorm], batches: Iterable[Any], run: Callable[[nn.Module, Any], object]
) -> None:
    """Only the norms are in training mode, so that dropout and heads behave as in evaluation."""
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
        norm.train()
    number = 0
    for batch in batches:
        run(network, batch)
        number += 1
    if not number:
        raise ValueError("Batch-norm statistics cannot be estimated without a batch; the given batches are empty.")


def _check_seen(network: nn.Module, norms: list[_BatchNorm]) -> None:
    """Refuse norms that would normalise by mean 0 and variance 1, which are no batch's."""
    names = {id(module): name for name, module in network.named_modules()}
    unseen = [names[id(norm)] for norm in norms if not norm.num_batches_tracked]
    if unseen:
        raise ValueError(
            f"{len(unseen)} of the path's {len(norms)} batch norms saw no batch, the first of them {unseen[0]!r}: what "
            "runs the network for the recalibration leaves them out. Give a forward= that runs the whole path."
        )
