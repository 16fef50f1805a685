"""The exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import lightning
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class Average(AveragedModel):
    """Torch's average, which counts its updates on the host: torch reads them from the device at each.

    Args:
        module: What is averaged.
        decay: See `AveragedWeights`.
        device: Where the average lies.
    """

    def __init__(self, module: nn.Module, decay: float, device: torch.device) -> None:
        super().__init__(module, device, use_buffers=True)
        self.decay = decay
        self.n_averaged: Tensor = self.n_averaged.cpu()

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Move the average towards the current values; counters are only copied."""
        updates = int(self.n_averaged)
        pairs = list(zip(_values(self.module), _values(model), strict=True))
        moved = [pair for pair in pairs if updates and pair[0].is_floating_point()]
        copied = [pair for pair in pairs if not (updates and pair[0].is_floating_point())]
        if moved:
            old, new = zip(*moved, strict=True)
            torch._foreach_lerp_(old, new, 1 - decay_of(self.decay, updates))
        if copied:
            old, new = zip(*copied, strict=True)
            torch._foreach_copy_(old, new)
        self.n_averaged += 1


def _values(module: nn.Module) -> Iterator[Tensor]:
    return chain(module.parameters(), module.buffers())


class AveragedWeights(WeightAveraging):
    """Keeps an average of all weights and batch-norm statistics, which the network has once it is trained.

    It is updated after each step of the optimizer, and a part of the checkpoints (Lightning's `WeightAveraging`,
    torch's `AveragedModel`). Early on it averages over fewer updates, as TensorFlow's moving average with
    ``num_updates`` does: for cold weights count more, the slower an average forgets.

    Args:
        decay: Of the average, in [0, 1).
    """

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay

    @property
    def model(self) -> nn.Module | None:
        """The averaged module, or what it is swapped with; None before the training."""
        return self._average_model

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Begin the average."""
        if stage == "fit":
            # At this point the module is still on the CPU, where an average of a GPU's weights would be slow.
            self._average_model = Average(pl_module, self.decay, trainer.strategy.root_device)

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
