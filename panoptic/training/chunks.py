"""The batches of a training, in chunks between which it can be broken off."""

from __future__ import annotations

from functools import partial
from typing import cast

import lightning
import torch
from torch.utils.data import DataLoader

from autopanoptic.panoptic.data.loading.batch import LabelledBatch
from autopanoptic.panoptic.data.loading.batches import training_batches
from autopanoptic.panoptic.training.training import Training


class TrainingData(lightning.LightningDataModule):
    """The batches of a run, a chunk an epoch, so that checkpoints lie between epochs and resume exactly.

    Args:
        training: Has the images, the passes and the size of a batch, and the passes between two checkpoints.
        divisor: Batches are padded to multiples of it.
        shared: Passes that each batch is for.
        whole: Whether every device gets the whole of each batch.
    """

    def __init__(self, training: Training, divisor: int, shared: int = 1, whole: bool = False) -> None:
        super().__init__()
        hardware, recipe = training.hardware, training.recipe
        self.make = partial(
            training_batches, training.dataset, training.transform, batch_size=recipe.batch_size, divisor=divisor,
            seed=training.seed, workers=hardware.workers,
            pin_memory=hardware.accelerator != "cpu" and torch.cuda.is_available(),
        )  # fmt: skip
        self.whole = whole
        self.batches = recipe.passes // shared
        self.chunk = max(1, hardware.checkpoint_every // shared)

    @property
    def epochs(self) -> int:
        """Chunks of the whole training."""
        return -(-self.batches // self.chunk)

    def train_dataloader(self) -> DataLoader[LabelledBatch]:
        """Return the batches of the chunk that Lightning takes for an epoch."""
        trainer = cast("lightning.Trainer", self.trainer)
        start = trainer.current_epoch * self.chunk
        stop = min(start + self.chunk, self.batches)
        rank, world = (0, 1) if self.whole else (trainer.global_rank, trainer.world_size)
        return self.make(start=start, stop=stop, rank=rank, world=world)
