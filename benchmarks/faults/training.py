"""The training of a small supernet, to be killed: some hundred passes, and a checkpoint every few of them.

It is one of the library's own: :class:`SupernetModule` under Lightning, and the callback that writes the checkpoints of
panoptic trainings. Paths, the optimizer's moments, the schedule, the statistics of batch norms and the gradients of a
cycle that a checkpoint cuts in two must all come back for the weights to be the same in the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from autopanoptic.nas import FairPaths, LayerChoice, ModelSpace, Supernet, SupernetModule
from autopanoptic.panoptic.model.weights import save_weights
from autopanoptic.panoptic.training.checkpoints import KeepTwo, newest_checkpoint
from autopanoptic.panoptic.training.terminal import quiet

PASSES, EVERY = 240, 5
"""Passes of the training, and between two checkpoints: no multiple of the six paths of a cycle."""
FINAL = "final.pt"
CHANNELS, SIDE, BATCH = 12, 8, 8

Say = Callable[[str, int, float], None]
"""Is told of a ``pass``, and before and after a checkpoint is written, with the number of passes and the time."""


class _Network(ModelSpace):
    """Two layers to choose, with batch norms."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, CHANNELS, 3, padding=1)
        self.first = LayerChoice({"conv3": _layer(3), "conv5": _layer(5)}, label="first")
        self.second = LayerChoice({"conv3": _layer(3), "conv5": _layer(5), "none": nn.Identity()}, label="second")
        self.head = nn.Linear(CHANNELS, 2)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.second(self.first(self.stem(images))).mean((2, 3)))
        return logits


def _layer(kernel: int) -> nn.Module:
    conv = nn.Conv2d(CHANNELS, CHANNELS, kernel, padding=kernel // 2)
    return nn.Sequential(conv, nn.BatchNorm2d(CHANNELS), nn.ReLU())


class _Data(lightning.LightningDataModule):
    """Batches that follow from their number alone; those between two checkpoints are an epoch."""

    def __init__(self, passes: int) -> None:
        super().__init__()
        self.passes = passes

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Return the batches of the epoch that begins."""
        assert self.trainer is not None
        start = self.trainer.current_epoch * EVERY
        images = torch.cat([_images(number) for number in range(start, min(start + EVERY, self.passes))])
        return DataLoader(TensorDataset(images), batch_size=BATCH)


def _images(number: int) -> Tensor:
    return torch.randn(BATCH, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(number))


def _loss(network: nn.Module, batch: list[Tensor]) -> Tensor:
    (images,) = batch
    return nn.functional.cross_entropy(network(images), (images.mean((1, 2, 3)) > 0).long())


class _Tells(Callback):
    def __init__(self, say: Say) -> None:
        self.say = say

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any) -> None:
        assert isinstance(pl_module, SupernetModule)
        self.say("pass", pl_module.passes, time.monotonic())


class _TellingKeepTwo(KeepTwo):
    """Says when it writes."""

    def __init__(self, folder: Path, say: Say) -> None:
        super().__init__(folder)
        self.say = say

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        assert isinstance(pl_module, SupernetModule)
        self.say("writing", pl_module.passes, time.monotonic())
        super().on_train_epoch_end(trainer, pl_module)
        self.say("written", pl_module.passes, time.monotonic())


def train(folder: Path, say: Say, passes: int = PASSES) -> None:
    """Train from the newest checkpoint of a folder to the end, and leave the weights in it."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    supernet = Supernet(_Network())
    module = SupernetModule(
        supernet,
        _loss,
        lambda weights: torch.optim.AdamW(weights, lr=0.01),
        FairPaths(supernet.space, seed=4),
        scheduler=lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, passes // 6),
        accumulate=True,
    )
    with quiet():
        trainer = lightning.Trainer(
            max_epochs=-(-passes // EVERY),
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            reload_dataloaders_every_n_epochs=1,
            callbacks=[_Tells(say), _TellingKeepTwo(folder, say)],
        )
        trainer.fit(module, datamodule=_Data(passes), ckpt_path=newest_checkpoint(folder), weights_only=True)
    save_weights(supernet.module, folder / FINAL)


def train_and_tell(folder: Path, connection: Connection) -> None:
    """Train, and send what there is to say."""
    train(folder, lambda *said: connection.send(said))
