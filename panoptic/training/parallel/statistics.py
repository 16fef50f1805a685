"""Processes that train together have the same running statistics in their batch norms."""

from __future__ import annotations

from collections.abc import Iterator

import lightning
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from autopanoptic.panoptic.training.average import AveragedWeights


class CommonStatistics(Callback):
    """Gives the batch norms of all processes the mean of their running statistics, before each checkpoint.

    Each process normalises by its own part of a batch and its statistics follow its own images, unless
    `torch.nn.SyncBatchNorm` takes those of all. Running statistics are linear in what they follow, so that their mean
    is what one process would have that had seen all parts, and it does not matter how often it is taken. The variance
    is the mean one of a part, by which the network has been trained, not that of all parts together.

    Args:
        average: Of the weights, whose statistics are meant, too.
    """

    def __init__(self, average: AveragedWeights | None = None) -> None:
        self.average = average

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Take the mean; checkpoints are written, and trainings end, behind it."""
        self.share(pl_module)

    def share(self, module: nn.Module) -> None:
        """Take the mean now, as before a measurement; all processes call this."""
        share_statistics(module)
        if self.average is not None and self.average.model is not None:
            share_statistics(self.average.model)


@torch.no_grad()
def share_statistics(module: nn.Module) -> None:
    """Give the batch norms of a module the mean over all processes of their running statistics.

    Counters of batches get the largest: processes that train different paths run different norms.
    """
    norms = list(_own_statistics(module))
    values = [value for norm in norms for value in (norm.running_mean, norm.running_var) if value is not None]
    counters = [norm.num_batches_tracked for norm in norms if norm.num_batches_tracked is not None]
    _reduce(values, dist.ReduceOp.SUM, dist.get_world_size())
    _reduce(counters, dist.ReduceOp.MAX)


def _own_statistics(module: nn.Module) -> Iterator[_BatchNorm]:
    """Return the batch norms whose statistics are of this process's images alone."""
    for norm in module.modules():
        if isinstance(norm, _BatchNorm) and not isinstance(norm, nn.SyncBatchNorm) and norm.track_running_stats:
            yield norm


def _reduce(values: list[Tensor], by: dist.ReduceOp.RedOpType, parts: int = 1) -> None:
    """Reduce tensors in place, all in one message, and divide them into so many parts."""
    if not values:
        return
    whole = torch.cat([value.reshape(-1) for value in values])
    dist.all_reduce(whole, by)
    if parts > 1:
        whole /= parts
    for value, found in zip(values, torch.split_with_sizes(whole, [value.numel() for value in values]), strict=True):
        value.copy_(found.view_as(value))
