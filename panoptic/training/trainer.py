"""Training panoptic networks and supernets by Lightning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import lightning
import torch
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from torch import nn

from autopanoptic.nas.supernet.paths import DrawnPaths
from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.model.merge.rules import MergeRules
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.training.average import AveragedWeights
from autopanoptic.panoptic.training.checkpoints import KeepTwo, newest_checkpoint
from autopanoptic.panoptic.training.chunks import TrainingData
from autopanoptic.panoptic.training.hardware import Hardware, keep_memory
from autopanoptic.panoptic.training.module import PanopticModule
from autopanoptic.panoptic.training.parallel.agreement import EqualWeights
from autopanoptic.panoptic.training.parallel.launch import WAIT, launched, train_together
from autopanoptic.panoptic.training.parallel.spawned import OPTIONS, SpawnedProcesses, ending_processes, heard
from autopanoptic.panoptic.training.parallel.statistics import CommonStatistics
from autopanoptic.panoptic.training.parallel.synced import SyncedNorms
from autopanoptic.panoptic.training.record import RECORD, STARTING_WEIGHTS, keep_record, record_of, require_record
from autopanoptic.panoptic.training.terminal import (
    PassCounter,
    PassProgress,
    Speed,
    interruptible,
    quiet,
    same_errors,
)
from autopanoptic.panoptic.training.training import Training
from autopanoptic.panoptic.training.validation import BEST, ValidateEvery, best_of


def train(
    network: PanopticNetwork,
    training: Training,
    folder: Path,
    *,
    title: str = "training",
    on_pass: Callable[[int], None] | None = None,
) -> None:
    """Train a network in place; goes on from the last whole checkpoint that an interrupted call left in the folder.

    The network ends with the weights that the recipe says: the last ones, their average, or the best on the images of
    the validation. Where it is measured on the way, ``best.pt`` keeps the best in any case. The log has the losses, the
    learning rate, images per second and the panoptic quality. The folder's ``training.json`` says what the training is
    of; to go on, a call must bring the same, the network's starting weights included.

    Args:
        network: A supernet, with the training's paths, or the network of one architecture.
        training: Images, steps, paths and what to run on.
        folder: For checkpoints and logs.
        title: Stands before the progress bar.
        on_pass: Called with the number of passes done, after each.

    Raises:
        FloatingPointError: When a loss is not finite; names the pass and the path. The last checkpoint is kept.
        ValueError: If gradients are accumulated over cycles of paths and the passes are no whole number of cycles;
            if the folder holds another training, naming what differs; if all its checkpoints are damaged.
    """
    recipe, paths, hardware = training.recipe, training.paths, training.hardware
    sampler = DrawnPaths(paths, recipe.passes) if paths is not None and hardware.devices > 1 else paths
    share_paths = hardware.devices > 1 and hardware.share_paths
    # Refuses what is wrong before the folder is touched.
    module = PanopticModule(
        network, recipe, sampler, training.seed, share_paths=share_paths, batch_size=hardware.batch_size
    )
    last = newest_checkpoint(folder)
    keep_record(folder / RECORD, record_of(network, training), what="another training", begun=last is not None)
    if launched() is not None and hardware.devices > 1:
        own = replace(hardware, progress=False)
        theirs = replace(training, paths=sampler, hardware=own, validation=_Elsewhere.of(training))
        train_together(partial(_join, network, theirs, folder, last, torch.get_num_threads()))
    with quiet(), interruptible(), same_errors(), _telling(on_pass, hardware) as tell:
        _fit(module, training, folder, last, title, tell)
    # The network moves to the device with the module; what was built on the CPU stays usable there.
    network.to("cpu")
    if recipe.keep == "best":
        _take_best(network, folder)


def _fit(
    module: PanopticModule,
    training: Training,
    folder: Path,
    last: Path | None,
    title: str,
    tell: Callable[[int], None] | None,
) -> None:
    config = cast("PanopticNetwork", module.network).config
    shared = module.paths.cycle if module.same_batch else 1
    data = TrainingData(training, config.image_divisor, shared, module.share_paths)
    callbacks = _callbacks(folder, training, title, tell, Speed(shared * training.recipe.batch_size))
    # SyncBatchNorm has one width, and waits for a process that trains another path.
    own_statistics = config.elastic or module.share_paths
    trainer = make_trainer(folder, data.epochs, training.hardware, callbacks, own_statistics=own_statistics)
    with ending_processes():
        trainer.fit(module, datamodule=data, ckpt_path=last, weights_only=True)


def _join(network: PanopticNetwork, training: Training, folder: Path, last: Path | None, threads: int) -> None:
    """Train in one of the processes that torchrun has started, beside the first."""
    torch.set_num_threads(threads)
    share_paths = training.hardware.share_paths
    module = PanopticModule(
        network,
        training.recipe,
        training.paths,
        training.seed,
        share_paths=share_paths,
        batch_size=training.hardware.batch_size,
    )
    with quiet():
        _fit(module, training, folder, last, "", None)


@dataclass
class _Elsewhere:
    """Stands for what measures a network, in processes that only wait for the one that does."""

    dataset: CocoPanoptic
    rules: MergeRules

    @classmethod
    def of(cls, training: Training) -> _Elsewhere | None:
        measure = training.validation
        return None if measure is None else cls(training.dataset, measure.rules)

    def __call__(self, network: nn.Module) -> Mapping[str, float]:
        raise AssertionError("another process measures")


def _telling(
    on_pass: Callable[[int], None] | None, hardware: Hardware
) -> AbstractContextManager[Callable[[int], None] | None]:
    """What a training tells its passes; from spawned processes it comes to the caller's own function."""
    if on_pass is None or hardware.devices == 1 or launched() is not None:
        return nullcontext(on_pass)
    return heard(on_pass)


def require_training(network: PanopticNetwork, training: Training, folder: Path, *, any_start: bool = False) -> None:
    """Refuse a finished training that is not what `train` would do with the same arguments.

    Args:
        network: As it would begin.
        training: What it would be.
        folder: Of the finished training.
        any_start: Whether to leave the network's starting weights out of the comparison.

    Raises:
        ValueError: If the folder holds another training, naming what differs, or has lost what it is of.
    """
    left_out = STARTING_WEIGHTS if any_start else None
    require_record(folder / RECORD, record_of(network, training), what="another training", leaving_out=left_out)


def _take_best(network: PanopticNetwork, folder: Path) -> None:
    best = best_of(folder)
    if best is None:
        raise ValueError(
            f"{folder} has lost {BEST}, the best weights of its training; delete the folder to train anew, or take "
            "keep='last'"
        )
    network.load_state_dict(best.weights)


def _callbacks(
    folder: Path, training: Training, title: str, on_pass: Callable[[int], None] | None, speed: Speed
) -> list[Callback]:
    """What happens after each step, in this order."""
    recipe = training.recipe
    average = AveragedWeights(recipe.ema) if recipe.ema else None
    common = CommonStatistics(average) if training.hardware.devices > 1 else None
    found: list[Callback] = [] if average is None else [average]
    found.append(speed)
    if recipe.validate_every and training.validation is not None:
        every, last = recipe.validate_every, recipe.passes
        share = None if common is None else common.share
        found.append(ValidateEvery(folder, training.validation, every, last, average, speed.restart, share))
    if common is not None:
        found.extend((common, EqualWeights()))
    if training.hardware.progress:
        found.append(PassProgress(title, recipe.passes))
    if on_pass is not None:
        found.append(PassCounter(on_pass))
    return [*found, KeepTwo(folder)]


def make_trainer(
    folder: Path, epochs: int, hardware: Hardware, callbacks: list[Callback], *, own_statistics: bool
) -> lightning.Trainer:
    """Make what runs a training, in a process that keeps its memory where that is on a CPU.

    Args:
        folder: For the log.
        epochs: Chunks of the training.
        hardware: What to run on.
        callbacks: What happens after each step, in this order.
        own_statistics: Whether batch norms on several GPUs take each its own part's statistics.
    """
    if not hardware.on_gpu:
        keep_memory()
    return lightning.Trainer(
        max_epochs=epochs,
        accelerator=hardware.accelerator,
        **_processes(hardware, synced=hardware.on_gpu and not own_statistics),
        precision=cast("Any", hardware.precision),
        logger=_logger(folder, hardware.logger),
        callbacks=callbacks,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
        log_every_n_steps=1,
        num_sanity_val_steps=0,
    )


def _processes(hardware: Hardware, *, synced: bool) -> dict[str, Any]:
    """Return which processes train, as Lightning's trainer takes it; and whether batch norms go over all of them."""
    found = launched()
    if hardware.devices == 1:
        return {"devices": 1, "strategy": "auto"}
    plugins: list[Any] = [SyncedNorms()] if synced else []
    if found is None:
        # They train and end; the program goes on once, in the process that called.
        strategy = SpawnedProcesses(torch.get_num_threads())
        return {"devices": hardware.devices, "strategy": strategy, "plugins": plugins}
    return {
        "devices": found.local_world, "num_nodes": found.nodes, "strategy": DDPStrategy(timeout=WAIT, **OPTIONS),
        "plugins": [TorchElasticEnvironment(), *plugins],
    }  # fmt: skip


def _logger(folder: Path, kind: str) -> Logger:
    if kind == "tensorboard":
        try:
            return TensorBoardLogger(folder, name="log")
        except ModuleNotFoundError as error:
            raise ValueError("tensorboard is not installed: pip install 'autopanoptic[tensorboard]'") from error
    return CSVLogger(folder, name="log")
