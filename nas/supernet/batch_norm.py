"""Batch normalisation's statistics for one path of a supernet."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from autopanoptic.nas.supernet.state import evaluating

if TYPE_CHECKING:
    from autopanoptic.nas.supernet.supernet import Supernet

logger = logging.getLogger(__name__)

_State: TypeAlias = tuple[dict[str, Tensor], float | None]
"""The buffers of a norm by name, and its momentum."""


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
        ValueError: when there is no batch; inside the block, where a norm runs that saw none, because ``forward`` left
            it out. One that runs in neither, as in an auxiliary head that only the training uses, keeps its statistics.
    """
    run = forward or (lambda network, batch: network(batch))
    norms = running_norms(supernet.active_modules())
    saved = [_state(norm) for norm in norms]
    try:
        with evaluating(supernet.module), torch.no_grad():
            _estimate(supernet.module, norms, batches, run)
        unseen = [norm for norm in norms if not norm.num_batches_tracked]
        _put_back(pair for pair in zip(norms, saved, strict=True) if pair[0] in unseen)
        with _refusing(supernet.module, unseen):
            yield
    finally:
        _put_back(zip(norms, saved, strict=True))


def recalibrate(
    network: nn.Module, batches: Iterable[Any], forward: Callable[[nn.Module, Any], object] | None = None
) -> None:
    """Give a stand-alone network batch-norm statistics of its own, in place, as :func:`recalibrated` gives a path.

    A norm that sees no batch, as one of a head that only the training uses, keeps its statistics, and a line in the log
    names it.

    Args:
        network: with inherited weights; its modules' modes stay.
        batches: gone through once.
        forward: runs the network on a batch; ``network(batch)`` by default.

    Raises:
        ValueError: when there is no batch; the statistics are as before then.
    """
    norms = running_norms(network.modules())
    saved = [_state(norm) for norm in norms]
    try:
        with evaluating(network), torch.no_grad():
            _estimate(network, norms, batches, forward or (lambda network, batch: network(batch)))
    except BaseException:
        _put_back(zip(norms, saved, strict=True))
        raise
    for norm, (_, momentum) in zip(norms, saved, strict=True):
        norm.momentum = momentum
    unseen = [norm for norm in norms if not norm.num_batches_tracked]
    _put_back(pair for pair in zip(norms, saved, strict=True) if pair[0] in unseen)
    if unseen:
        names = {id(module): name for name, module in network.named_modules()}
        names_of_unseen = [names[id(norm)] for norm in unseen]
        logger.warning("Batch norms saw no batch and keep statistics that mix all paths: %s.", names_of_unseen)


@contextmanager
def statistics_kept(network: nn.Module) -> Iterator[None]:
    """Leave the running statistics of batch norms as they are, also where the network runs in training mode."""
    norms = running_norms(network.modules())
    saved = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm, (_, number) in zip(norms, saved, strict=True):
        norm.momentum = 0.0
        norm.num_batches_tracked = None if number is None else number.clone()
    try:
        yield
    finally:
        for norm, (momentum, number) in zip(norms, saved, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, number


def running_norms(modules: Iterable[nn.Module]) -> list[_BatchNorm]:
    """Return the batch norms among modules that keep running statistics."""
    return [module for module in modules if isinstance(module, _BatchNorm) and module.track_running_stats]


def _state(norm: _BatchNorm) -> _State:
    return {name: buffer.clone() for name, buffer in norm.named_buffers()}, norm.momentum


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


def _put_back(states: Iterable[tuple[_BatchNorm, _State]]) -> None:
    for norm, (buffers, momentum) in states:
        norm.momentum = momentum
        for name, buffer in norm.named_buffers():
            buffer.copy_(buffers[name])


@contextmanager
def _refusing(network: nn.Module, unseen: list[_BatchNorm]) -> Iterator[None]:
    """Refuse to run norms whose statistics are not the path's own."""
    names = {id(module): name for name, module in network.named_modules()}

    def refuse(norm: nn.Module, inputs: object) -> None:
        raise ValueError(
            f"The batch norm {names[id(norm)]!r} of the path saw no batch: what runs the network for the recalibration "
            "leaves it out. Give a forward= that runs the whole path."
        )

    with ExitStack() as stack:
        for norm in unseen:
            stack.callback(norm.register_forward_pre_hook(refuse).remove)
        yield
