"""Processes that train together end with the same weights."""

from __future__ import annotations

import lightning
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn


class EqualWeights(Callback):
    """Ends a training of several processes with an error where their weights or statistics have come apart."""

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Compare them, as the training leaves them."""
        require_equal(pl_module)


def require_equal(module: nn.Module) -> None:
    """Refuse a state, all parameters and buffers that are kept, that is not the same in all processes.

    Raises:
        RuntimeError: Names the first that differs.
    """
    named = {name: value for name, value in module.state_dict().items() if isinstance(value, Tensor)}
    own = torch.stack([_sum(value) for value in named.values()])
    most, least = own.clone(), own.clone()
    dist.all_reduce(most, dist.ReduceOp.MAX)
    dist.all_reduce(least, dist.ReduceOp.MIN)
    for name, differs in zip(named, (most != least).tolist(), strict=True):
        if differs:
            raise RuntimeError(
                f"the processes that trained together have ended with different weights, such as {name}; the last "
                "checkpoint is of the first of them. Please report this"
            )


@torch.no_grad()
def _sum(value: Tensor) -> Tensor:
    """Return a number that depends on every bit and its place, in whichever order a device adds."""
    bits = value.detach().contiguous().flatten().view(_INTEGERS[value.element_size()]).long()
    return (bits * torch.arange(1, 2 * len(bits), 2, device=bits.device)).sum()


_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Whole numbers of so many bytes."""
