"""Training panoptic networks and supernets by Lightning."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, RichProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from torch import Tensor, nn
from torch.multiprocessing.spawn import ProcessRaisedException
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader

from autopanoptic.nas import PathSampler, Supernet, SupernetModule, UniformPaths
from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.data.loading.batches import Batch, training_batches
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.training.checkpoints import KeepTwo, newest_checkpoint
from autopanoptic.panoptic.training.recipe import Recipe
from autopanoptic.panoptic.training.record import keep_record, record_of

CHUNK = 24
"""Passes between two checkpoints, unless the hardware setting says otherwise."""
LOGGERS = ("lightning.pytorch", "lightning.fabric")
ADVICE = (
    ".*does not have many workers.*",
    ".*isinstance.treespec, LeafSpec.*",
    "GPU available but not used.*",
    "Checkpoint directory .* exists and is not empty.*",
)


@dataclass(frozen=True)
class Hardware:
    """What a training runs on.

    Attributes:
        accelerator: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        devices: How many; each gets an equal part of a batch. Several train in a spawned process each, which end with
            the training, so that one process goes on behind `train`; as ever with spawned processes, a program
            needs the guard ``if __name__ == "__main__":``. On several GPUs batch norm takes its statistics
            over all of them (SyncBN); on several CPU processes, which torch does not offer that for, each over its
            own part.
        precision: Lightning's: ``"32-true"``, or ``"bf16-mixed"`` for bfloat16 where it is safe.
        workers: Processes that load images; 0 loads in this one.
        logger: ``"csv"`` or ``"tensorboard"``.
        progress: Whether to show a progress bar.
        checkpoint_every: Passes between two checkpoints.
    """

    accelerator: str = "auto"
    devices: int = 1
    precision: str = "32-true"
    workers: int = 0
    logger: str = "csv"
    progress: bool = True
    checkpoint_every: int = CHUNK


class PanopticModule(SupernetModule):
    """Trains a panoptic network, or a supernet of them.

    Which anchors and RoIs enter the loss of pass n depends on (seed, n) alone.

    Args:
        network: A supernet, or the network of one architecture.
        recipe: Optimizer and schedule.
        paths: Names the path of each pass; None for a network without choices.
        seed: Non-negative.

    Raises:
        ValueError: If gradients are accumulated over cycles of paths and the passes are no whole number of cycles.
    """

    def __init__(
        self, network: PanopticNetwork, recipe: Recipe, paths: PathSampler | None = None, seed: int = 0
    ) -> None:
        supernet = Supernet(network)
        sampler = UniformPaths(supernet.space) if paths is None else paths
        recipe.check_cycle(sampler.cycle)
        super().__init__(
            supernet,
            self._total,
            # Named functions, because the module may be sent to other processes.
            partial(_optimizer, recipe, network),
            sampler,
            scheduler=partial(_scheduler, recipe, sampler.cycle),
            accumulate=recipe.accumulate,
            # The mean gradient over a parameter's own uses is what counts, not that over the whole cycle.
            reduction="sum",
            divide_rates=recipe.accumulate,
            clip=recipe.clip,
        )
        self.seed = seed

    def _total(self, network: nn.Module, batch: Batch) -> Tensor:
        seed = np.random.SeedSequence([self.seed, int(self.passes)]).generate_state(1)[0]
        generator = torch.Generator(batch.images.device).manual_seed(int(seed))
        losses = cast("PanopticNetwork", network).losses(
            batch.images, batch.sizes, batch.targets, batch.semantic, generator=generator
        )
        self.log_dict({name: loss.detach() for name, loss in losses.items() if name != "total"})
        return losses["total"]


def _optimizer(recipe: Recipe, network: PanopticNetwork, _: Iterable[nn.Parameter]) -> Optimizer:
    return recipe.make_optimizer(network)


def _scheduler(recipe: Recipe, cycle: int, optimizer: Optimizer) -> LRScheduler:
    return recipe.make_scheduler(cycle)(optimizer)


class _TrainingData(lightning.LightningDataModule):
    """The batches of a run, a chunk an epoch, so that checkpoints lie between epochs and resume exactly."""

    def __init__(self, dataset: CocoPanoptic, transform: Transform, recipe: Recipe, divisor: int, hardware: Hardware,
                 seed: int) -> None:  # fmt: skip
        super().__init__()
        self.make = partial(
            training_batches, dataset, transform, batch_size=recipe.batch_size, divisor=divisor, seed=seed,
            workers=hardware.workers, pin_memory=hardware.accelerator != "cpu" and torch.cuda.is_available(),
        )  # fmt: skip
        self.passes = recipe.passes
        self.chunk = hardware.checkpoint_every

    @property
    def epochs(self) -> int:
        return -(-self.passes // self.chunk)

    def train_dataloader(self) -> DataLoader[Batch]:
        trainer = cast("lightning.Trainer", self.trainer)
        start = trainer.current_epoch * self.chunk
        stop = min(start + self.chunk, self.passes)
        return self.make(start=start, stop=stop, rank=trainer.global_rank, world=trainer.world_size)


def train(
    network: PanopticNetwork,
    dataset: CocoPanoptic,
    transform: Transform,
    recipe: Recipe,
    folder: Path,
    *,
    paths: PathSampler | None = None,
    hardware: Hardware | None = None,
    seed: int = 0,
    title: str = "training",
    report: Callable[[int], None] | None = None,
) -> None:
    """Train a network in place; goes on from the last whole checkpoint that an interrupted call left in the folder.

    The folder's ``training.json`` says what the training is of; to go on, a call must bring the same, the network's
    initial weights included.

    Args:
        network: A supernet, with `paths`, or the network of one architecture.
        dataset: The training images.
        transform: From an image to what the network sees.
        recipe: Steps, optimizer and schedule.
        folder: For checkpoints and logs.
        paths: Names the path of each pass; None for a network without choices.
        hardware: What to run on.
        seed: Decides order, flips and sampling.
        title: Stands before the progress bar.
        report: Called with the number of passes done, after each.

    Raises:
        FloatingPointError: When a loss is not finite; names the pass and the path. The last checkpoint is kept.
        ValueError: If gradients are accumulated over cycles of paths and the passes are no whole number of cycles;
            if the folder holds another training, naming what differs; if all its checkpoints are damaged.
    """
    hardware = hardware or Hardware()
    data = _TrainingData(dataset, transform, recipe, network.config.image_divisor, hardware, seed)
    module = PanopticModule(network, recipe, paths, seed)
    last = newest_checkpoint(folder)
    record = record_of(
        network, dataset, transform, recipe, paths=paths, seed=seed, precision=hardware.precision,
        checkpoint_every=hardware.checkpoint_every,
    )  # fmt: skip
    keep_record(folder, record, begun=last is not None)
    with _quiet(), _interruptible(), _same_errors():
        trainer = _trainer(folder, data.epochs, hardware, title, report)
        trainer.fit(module, datamodule=data, ckpt_path=last, weights_only=True)
    # The network moves to the device with the module; what was built on the CPU stays usable there.
    network.to("cpu")


def _trainer(
    folder: Path, epochs: int, hardware: Hardware, title: str, report: Callable[[int], None] | None = None
) -> lightning.Trainer:
    callbacks: list[Callback] = [KeepTwo(folder)]
    if hardware.devices > 1:
        callbacks.append(_QuietProcesses())
    if hardware.progress:
        callbacks.append(_Progress(title))
    if report is not None:
        callbacks.append(_Reporting(report))
    return lightning.Trainer(
        max_epochs=epochs,
        accelerator=hardware.accelerator,
        devices=hardware.devices,
        # Spawned processes train and end; the program goes on once, in the process that called.
        strategy="ddp_spawn_find_unused_parameters_true" if hardware.devices > 1 else "auto",
        sync_batchnorm=hardware.devices > 1 and _on_gpu(hardware),
        precision=cast("Any", hardware.precision),
        logger=_logger(folder, hardware.logger),
        callbacks=callbacks,
        enable_progress_bar=hardware.progress,
        enable_model_summary=False,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
        log_every_n_steps=1,
        num_sanity_val_steps=0,
    )


def _on_gpu(hardware: Hardware) -> bool:
    return hardware.accelerator == "gpu" or (hardware.accelerator == "auto" and torch.cuda.is_available())


def _logger(folder: Path, kind: str) -> Logger:
    if kind == "tensorboard":
        return TensorBoardLogger(folder, name="log")
    if kind == "csv":
        return CSVLogger(folder, name="log")
    raise ValueError(f"logger must be 'csv' or 'tensorboard', not {kind!r}")


class _Reporting(Callback):
    """Tells how far a training is."""

    def __init__(self, report: Callable[[int], None]) -> None:
        self.report = report

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any) -> None:
        self.report(int(cast("PanopticModule", pl_module).passes))


class _Progress(RichProgressBar):
    """One bar for the whole run; a chunk is no epoch that a reader would know."""

    def __init__(self, title: str) -> None:
        super().__init__(leave=False)
        self.title = title

    def _get_train_description(self, current_epoch: int) -> str:
        return f"{self.title}, part {current_epoch + 1} of {self.trainer.max_epochs}"


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C come through: Lightning ignores the signal from then on and ends the program without a word."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from end
        raise
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)


@contextmanager
def _same_errors() -> Iterator[None]:
    """Raise the loss that is not finite, which has ended a process of several, as in this one."""
    try:
        yield
    except ProcessRaisedException as error:
        kind, _, text = str(error).strip().splitlines()[-1].partition(": ")
        if kind == FloatingPointError.__name__:
            raise FloatingPointError(text) from error
        raise


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advice and advertisements out of the terminal; errors still come through."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        _silence()
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _silence() -> None:
    for message in ADVICE:
        warnings.filterwarnings("ignore", message=message)
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)


class _QuietProcesses(Callback):
    """The same in the processes of several devices, which end with the training."""

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        _silence()
