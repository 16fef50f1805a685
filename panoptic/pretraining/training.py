"""Training a classifier by Lightning."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback

from autopanoptic.nas import Architecture, BinnedPaths
from autopanoptic.panoptic.pretraining.accuracy import Measure, MeasureEvery
from autopanoptic.panoptic.pretraining.classifier import Classifier
from autopanoptic.panoptic.pretraining.images import ImageClasses
from autopanoptic.panoptic.pretraining.loading import ImageBatches
from autopanoptic.panoptic.pretraining.module import PretrainingModule
from autopanoptic.panoptic.pretraining.paths import portable
from autopanoptic.panoptic.pretraining.recipe import PretrainingRecipe
from autopanoptic.panoptic.training.checkpoints import KeepTwo, newest_checkpoint
from autopanoptic.panoptic.training.hardware import Hardware
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
    """

    images: ImageClasses
    recipe: PretrainingRecipe
    hardware: Hardware
    seed: int = 0
    paths: BinnedPaths | None = None
    architecture: Architecture | None = None


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
    module = PretrainingModule(classifier, recipe, sampler, training.seed)
    data = ImageBatches(training.images.train, recipe, hardware, training.seed)
    speed = Speed(recipe.batch_size)
    callbacks: list[Callback] = [speed]
    if recipe.validate_every:
        callbacks.append(MeasureEvery(measure, recipe.validate_every, speed.restart))
    if hardware.progress:
        callbacks.append(PassProgress(title, recipe.passes))
    elastic = classifier.config.space == "elastic"
    with quiet(), interruptible(), same_errors():
        trainer = make_trainer(folder, data.epochs, hardware, [*callbacks, KeepTwo(folder)], own_statistics=elastic)
        trainer.fit(module, datamodule=data, ckpt_path=last, weights_only=True)
    classifier.to("cpu")


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
        "recipe": training.recipe.to_json(),
        "paths": None if training.paths is None else describe_paths(training.paths, training.recipe.passes),
        "seed": training.seed,
        "precision": training.hardware.precision,
        "checkpoint_every": training.hardware.checkpoint_every,
    }
