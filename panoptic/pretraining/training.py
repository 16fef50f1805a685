"""Training a classifier by Lightning."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import Callback

from autopanoptic.nas import Architecture, BinnedPaths, PathSampler
from autopanoptic.panoptic.data.loading.normalization import IMAGENET, Normalization
from autopanoptic.panoptic.pretraining.accuracy import Measure, MeasureEvery
from autopanoptic.panoptic.pretraining.classifier import Classifier
from autopanoptic.panoptic.pretraining.images import ImageClasses
from autopanoptic.panoptic.pretraining.loading import ImageBatches
from autopanoptic.panoptic.pretraining.module import PretrainingModule
from autopanoptic.panoptic.pretraining.paths import portable
from autopanoptic.panoptic.pretraining.recipe import PretrainingRecipe
from autopanoptic.panoptic.training.checkpoints import KeepTwo, newest_checkpoint
from autopanoptic.panoptic.training.hardware import Hardware
from autopanoptic.panoptic.training.parallel.agreement import EqualWeights
from autopanoptic.panoptic.training.parallel.launch import launched, train_together
from autopanoptic.panoptic.training.parallel.spawned import ending_processes
from autopanoptic.panoptic.training.parallel.statistics import CommonStatistics
from autopanoptic.panoptic.training.record import RECORD, STARTING_WEIGHTS, describe_paths, keep_record, projections
from autopanoptic.panoptic.training.terminal import PassProgress, Speed, interruptible, quiet, same_errors
from autopanoptic.panoptic.training.trainer import make_trainer

WHAT = "another pretraining"


@dataclass(frozen=True)
class Pretraining:
    """What decides, beside a classifier's first weights, those with which it ends.

    Attributes:
        images: What it is trained and measured on.
        recipe: Steps, optimizer and augmentation.
        hardware: What to run on.
        seed: Of order and augmentation; not negative.
        paths: Names the path of each pass of a supernet; None for a classifier without choices.
        architecture: Whose backbone it is; None for a supernet.
        normalization: Of the images.
    """

    images: ImageClasses
    recipe: PretrainingRecipe
    hardware: Hardware
    seed: int = 0
    paths: BinnedPaths | None = None
    architecture: Architecture | None = None
    normalization: Normalization = IMAGENET


def fit(classifier: Classifier, training: Pretraining, measure: Measure, folder: Path, *, title: str) -> None:
    """Train a classifier in place; goes on from the last whole checkpoint that an interrupted call left in the folder.

    The log has the loss, the learning rate, images per second and, where the recipe asks for it, accuracy on val. The
    folder's ``training.json`` says what the training is of; to go on, a call must bring the same.

    Args:
        classifier: A supernet, with the training's paths, or of one architecture.
        training: Images, recipe, paths and what to run on.
        measure: Measures accuracy on the way.
        folder: For checkpoints and logs.
        title: Stands before the progress bar.

    Raises:
        FloatingPointError: When the loss is not finite; names the pass and the path. The last checkpoint is kept.
        ValueError: If the folder holds another training, naming what differs; if all its checkpoints are damaged.
    """
    recipe, hardware, paths = training.recipe, training.hardware, training.paths
    last = newest_checkpoint(folder)
    keep_record(folder / RECORD, record_of(classifier, training), what=WHAT, begun=last is not None)
    several = hardware.devices > 1
    sampler = portable(paths, recipe.passes) if paths is not None and several else paths
    fitting = _Fitting(classifier, training, sampler, measure, folder, last, title)
    if several and launched() is not None:
        # The sampler's paths are drawn; their costs may not be sent to other processes.
        theirs = replace(fitting, training=replace(training, paths=None))
        train_together(partial(_join, theirs, torch.get_num_threads()))
    with quiet(), interruptible(), same_errors():
        fitting.run(progress=hardware.progress)
    classifier.to("cpu")


@dataclass(frozen=True)
class _Fitting:
    """What each of the processes does that train together."""

    classifier: Classifier
    training: Pretraining
    sampler: PathSampler | None
    measure: Measure
    folder: Path
    last: Path | None
    title: str

    def run(self, *, progress: bool) -> None:
        training, recipe, hardware = self.training, self.training.recipe, self.training.hardware
        module = PretrainingModule(
            self.classifier, recipe, self.sampler, training.seed, batch_size=hardware.batch_size
        )  # fmt: skip
        data = ImageBatches(training.images.train, recipe, hardware, training.seed, training.normalization)
        speed = Speed(recipe.batch_size)
        common = CommonStatistics() if hardware.devices > 1 else None
        callbacks: list[Callback] = [speed]
        if recipe.validate_every:
            share = None if common is None else common.share
            callbacks.append(MeasureEvery(self.measure, recipe.validate_every, speed.restart, share))
        if common is not None:
            callbacks.extend((common, EqualWeights()))
        if progress:
            callbacks.append(PassProgress(self.title, recipe.passes))
        elastic, callbacks = self.classifier.config.elastic, [*callbacks, KeepTwo(self.folder)]
        trainer = make_trainer(self.folder, data.epochs, hardware, callbacks, own_statistics=elastic)
        with ending_processes():
            trainer.fit(module, datamodule=data, ckpt_path=self.last, weights_only=True)


def _join(fitting: _Fitting, threads: int) -> None:
    """Train in one of the processes that torchrun has started, beside the first."""
    torch.set_num_threads(threads)
    with quiet():
        fitting.run(progress=False)


def record_of(classifier: Classifier, training: Pretraining) -> dict[str, Any]:
    """Describe everything that decides the weights which a training ends with, as a JSON object.

    Images are described by their names and classes, not by their pixels.
    """
    found = training.architecture
    samples = hashlib.sha256()
    for path, label in training.images.train.samples:
        samples.update(f"{Path(path).relative_to(training.images.train.root)} {label}\n".encode())
    return {
        "network": classifier.config.to_json(),
        "architecture": None if found is None else json.loads(json.dumps(found.to_json())),
        STARTING_WEIGHTS: projections(classifier),
        "images": {"count": len(training.images.train.samples), "names": samples.hexdigest()[:16]},
        "classes": training.images.classes,
        "normalization": json.loads(json.dumps(asdict(training.normalization))),
        "recipe": training.recipe.to_json(),
        "paths": None if training.paths is None else describe_paths(training.paths, training.recipe.passes),
        "seed": training.seed,
        "precision": training.hardware.precision,
        "checkpoint_every": training.hardware.checkpoint_every,
    }
