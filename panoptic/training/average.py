"""The exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import lightning
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn


class AveragedWeights(WeightAveraging):
    """Keeps an average of all weights and batch-norm statistics, which the network has once it is trained.

    It is updated after each step of the optimizer, and a part of the checkpoints (Lightning's `WeightAveraging`,
    torch's `AveragedModel`). Early on it averages over fewer updates, as TensorFlow's moving average with
    ``num_updates`` does: for cold weights count more, the slower an average forgets.

    Args:
        decay: Of the average, in [0, 1).
    """

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=partial(_average, decay))

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Begin the average."""
        # At this point the module is still on the CPU, where an average of a GPU's weights would be slow.
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Give the average to the network, also where the training had ended before."""
        self._copy_average_to_current(pl_module)

    @contextmanager
    def in_place(self, pl_module: lightning.LightningModule) -> Iterator[None]:
        """Give the average to the network for a while."""
        self._swap_models(pl_module)
        try:
            yield
        finally:
            self._swap_models(pl_module)


def decay_of(decay: float, updates: int) -> float:
    """Return the decay of an average after so many updates."""
    return min(decay, (1 + updates) / (10 + updates))


def _average(decay: float, averaged: list[Tensor], current: list[Tensor], updates: Tensor | int) -> None:
    """Move the average towards the current values, which are of one type; counters are only copied."""
    if averaged[0].is_floating_point():
        move = get_ema_multi_avg_fn(decay_of(decay, int(updates)))  # type: ignore[no-untyped-call]
        move(averaged, current, updates)
        return
    for old, new in zip(averaged, current, strict=True):
        old.copy_(new)
