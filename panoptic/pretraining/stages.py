"""The two stages before panoptic training: the backbone's supernet learns to classify, or a found backbone alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from autopanoptic.nas import Architecture, BinnedPaths, Option, Supernet
from autopanoptic.nas.storage.files import whole
from autopanoptic.nas.supernet.state import seeded
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.config_checks import SEARCHED_BACKBONE
from autopanoptic.panoptic.model.weights import read_tensors
from autopanoptic.panoptic.pretraining.accuracy import Accuracy, Measure
from autopanoptic.panoptic.pretraining.classifier import Classifier
from autopanoptic.panoptic.pretraining.images import ImageClasses
from autopanoptic.panoptic.pretraining.paths import binned_paths
from autopanoptic.panoptic.pretraining.recipe import PretrainingRecipe
from autopanoptic.panoptic.pretraining.training import WHAT, Pretraining, fit, record_of
from autopanoptic.panoptic.results.backbones import BACKBONE, STATE, backbone_part, save_backbone
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.machine import hardware, threads_of_torch
from autopanoptic.panoptic.training.record import RECORD, require_record

ACCURACY = "accuracy.json"
"""File of a finished pretraining, beside the weights: how well the classifier did on val."""


@dataclass(frozen=True)
class Pretrained:
    """A finished pretraining.

    Attributes:
        backbone: The file of the backbone's weights, which ``init`` with ``init_part: backbone`` reads.
        accuracies: On val: of each path that was measured, or the classifier's own.
        classes: How many there are; that part of 100% is what guessing gives.
    """

    backbone: Path
    accuracies: tuple[Accuracy, ...]
    classes: int


def pretrain_supernet(
    settings: Settings, images: ImageClasses, folder: Path, recipe: PretrainingRecipe, *, progress: bool = False
) -> Pretrained:
    """Train the supernet of the run's backbone to classify images: uniform paths within bins of FLOPs, one a pass.

    DetNAS (Chen et al. 2019, section 3.2) by the schedule of single-path one-shot (Guo et al. 2020). Accuracy is that
    of `PretrainingRecipe.validated_paths` fixed paths, spread over the bins, with batch-norm statistics of their own.

    Args:
        settings: Of the run: the backbone's shapes, the seed and the machine.
        images: What it is trained and measured on.
        folder: Gets ``backbone.pt`` and ``accuracy.json``; an interrupted call goes on from what it holds.
        recipe: Steps, optimizer, augmentation and bins.
        progress: Whether to tell the progress.

    Raises:
        FloatingPointError: When the loss is not finite.
        ValueError: If the folder holds another pretraining, naming what differs, or if bins are met by no path.
    """
    with seeded(settings.seed):
        classifier = Classifier(backbone_config(settings), *_head(images, recipe))
    paths = binned_paths(classifier, recipe, settings.seed)
    # Of another seed, so that they are no paths of the training.
    fixed = BinnedPaths(paths.space, paths.cost, paths.edges, settings.seed + 1)
    measured = [fixed.path(step) for step in range(recipe.validated_paths)]
    how = hardware(settings, progress=progress)
    training = Pretraining(
        images, recipe, how, settings.seed, paths, normalization=settings.data.normalization
    )  # fmt: skip
    return _pretrained(classifier, training, measured, settings, folder, "pretraining, supernet")


def pretrain(
    settings: Settings,
    architecture: Mapping[str, Option],
    images: ImageClasses,
    folder: Path,
    recipe: PretrainingRecipe,
    *,
    progress: bool = False,
) -> Pretrained:
    """Train the backbone of a found architecture to classify images, from scratch.

    Args:
        settings: Of the run: shapes of the networks that are retrained, the seed and the machine.
        architecture: Of a whole network, or of a backbone.
        images: What it is trained and measured on.
        folder: Gets ``backbone.pt`` and ``accuracy.json``; an interrupted call goes on from what it holds.
        recipe: Steps, optimizer and augmentation.
        progress: Whether to tell the progress.

    Raises:
        FloatingPointError: When the loss is not finite.
        ValueError: If the architecture is not of the settings' space, or the folder holds another pretraining.
    """
    part = backbone_part(architecture)
    with seeded(settings.seed):
        classifier = _found_classifier(settings, part, *_head(images, recipe))
    how = hardware(settings, progress=progress)
    training = Pretraining(
        images, recipe, how, settings.seed, architecture=part, normalization=settings.data.normalization
    )  # fmt: skip
    return _pretrained(classifier, training, (), settings, folder, "pretraining, found backbone")


def check_backbone(settings: Settings, architecture: Mapping[str, Option]) -> None:
    """Refuse an architecture whose backbone is none of the settings', before any image is read.

    Raises:
        ValueError: If it is not of the settings' space.
    """
    with torch.device("meta"):
        _found_classifier(settings, backbone_part(architecture), 1, 1, 0.0)


def check_bins(settings: Settings, images: ImageClasses, recipe: PretrainingRecipe) -> None:
    """Refuse bins of FLOPs that no path of the supernet meets, before any image is decoded.

    Raises:
        ValueError: Says what paths cost.
    """
    with torch.device("meta"):
        classifier = Classifier(backbone_config(settings), *_head(images, recipe))
    binned_paths(classifier, recipe, settings.seed)


def _found_classifier(
    settings: Settings, part: Architecture, classes: int, tail_width: int, dropout: float
) -> Classifier:
    """Build the classifier of one backbone; its weights come from torch's default generator."""
    with torch.device("meta"):
        supernet = Supernet(Classifier(backbone_config(settings, retrained=True), classes, tail_width, dropout))
    return cast("Classifier", supernet.subnet(part, inherit=False))


def backbone_config(settings: Settings, *, retrained: bool = False) -> PanopticConfig:
    """Return the config whose backbone is trained; classes of the panoptic data do not change it."""
    config = settings.network_for(1, 1, retrained=retrained)
    if config.backbone != SEARCHED_BACKBONE:
        raise ValueError(
            f"network.backbone is {config.backbone}, which brings its weights: only the searched backbone is "
            "pretrained here; leave it out, or go on with `autopanoptic panoptic run`, which needs no pretraining then"
        )
    return config


def _head(images: ImageClasses, recipe: PretrainingRecipe) -> tuple[int, int, float]:
    return len(images.classes), recipe.tail_width, recipe.dropout


def _pretrained(
    classifier: Classifier,
    training: Pretraining,
    paths: Sequence[Architecture],
    settings: Settings,
    folder: Path,
    title: str,
) -> Pretrained:
    """Train what is not trained yet, measure it, and write what it has given."""
    backbone = folder / BACKBONE
    if backbone.exists():
        require_record(folder / RECORD, record_of(classifier, training), what=WHAT)
        read_tensors(backbone)[STATE]  # refuses a damaged file
        return Pretrained(backbone, _read_accuracies(folder / ACCURACY), len(training.images.classes))
    machine = training.hardware
    measure = Measure(
        training.images, training.recipe, training.seed, paths, machine.workers, machine.precision,
        training.normalization,
    )  # fmt: skip
    with threads_of_torch(settings.machine.threads):
        fit(classifier, training, measure, folder, title=title)
        found = tuple(measure(classifier))
    _write_accuracies(folder / ACCURACY, found)
    # Last, for it is what says that the rest is there.
    save_backbone(classifier.backbone, backbone, training.architecture)
    return Pretrained(backbone, found, len(training.images.classes))


def _write_accuracies(path: Path, found: Sequence[Accuracy]) -> None:
    with whole(path) as partial:
        partial.write_text(json.dumps([one.to_json() for one in found], indent=1) + "\n")


def _read_accuracies(path: Path) -> tuple[Accuracy, ...]:
    try:
        found: list[dict[str, Any]] = json.loads(path.read_bytes())
        return tuple(
            Accuracy(one["top1"], one["top5"], Architecture(one["architecture"]) if one["architecture"] else None)
            for one in found
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is missing or damaged: {error}; delete {BACKBONE} beside it to measure anew"
        ) from error
