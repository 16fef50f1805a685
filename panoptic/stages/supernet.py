"""The second stage: the supernet, trained."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from torch import nn

from autopanoptic.nas import Architecture, FairPaths, PathSampler, SearchSpace, Supernet, UniformPaths
from autopanoptic.nas.evaluation.evaluator import Metrics
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.loading.batches import Batch
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.weights import load_weights, save_weights
from autopanoptic.panoptic.search.evaluator import PanopticEvaluator, Validation
from autopanoptic.panoptic.search.inflate import inflate
from autopanoptic.panoptic.search.paths import SizeSandwich
from autopanoptic.panoptic.search.strategies import family, hand_made
from autopanoptic.panoptic.stages.batches import recalibration_batches, training_validation
from autopanoptic.panoptic.stages.costs import within_family
from autopanoptic.panoptic.stages.machine import hardware, threads_of_torch
from autopanoptic.panoptic.stages.networks import build, network_config, read_from
from autopanoptic.panoptic.stages.settings import Settings
from autopanoptic.panoptic.training.hardware import Hardware
from autopanoptic.panoptic.training.module import batch_of_cycle
from autopanoptic.panoptic.training.recipe import Recipe
from autopanoptic.panoptic.training.trainer import require_training, train

SUPERNET = "supernet.pt"
"""File of a trained supernet's weights."""


def train_supernet(settings: Settings, datasets: Datasets, folder: Path, *, progress: bool) -> Supernet:
    """Train the supernet: one path first where the settings say so, whose weights others take over, then all paths.

    A space of operators is trained in fair cycles, as in the paper; one of widths and depths, whose options share their
    weights, by several paths on each batch, for one update, of those that cost about as much as the hand-made family's
    largest at most: random ones, and with the sandwich rule the largest and the smallest. There every network is a part
    of the largest of that family, which may be trained before them.

    Where a recipe asks for panoptic quality on the way, it is that of the hand-made network's path on nas_val.

    Raises:
        ValueError: If the folder holds another supernet, naming what differs, or a damaged one.
    """
    config = network_config(settings, datasets.train.categories)
    network = build(config, settings.seed)
    supernet = Supernet(network)
    weights = folder / SUPERNET
    parts = _parts(settings, within_family(settings, datasets, supernet.space), folder)
    if weights.exists():
        with read_from(weights):
            load_weights(network, weights)
        fresh = build(config, settings.seed)
        for part in parts:
            # What the last part began with is what the first has ended with.
            require_training(
                fresh, datasets.train, settings.transform(part.recipe), part.recipe, part.folder, paths=part.paths,
                hardware=_machine(settings, part, progress), seed=settings.seed, any_start=part is not parts[0],
                validation=_validation(settings, part.recipe, datasets, network),
            )  # fmt: skip
        return supernet
    for part in parts:
        with threads_of_torch(settings.machine.threads):
            train(
                network, datasets.train, settings.transform(part.recipe), part.recipe, part.folder, paths=part.paths,
                hardware=_machine(settings, part, progress), seed=settings.seed, title=part.title,
                validation=_validation(settings, part.recipe, datasets, network),
            )  # fmt: skip
        if isinstance(part.paths, _OnePath):
            inflate(network, part.paths.architecture)
    save_weights(network, weights)
    return supernet


class _HandMadePath:
    """Measures the path that one would build by hand, with batch-norm statistics of its own."""

    def __init__(self, validation: Validation, batches: Iterable[Batch] | None) -> None:
        self.validation, self.batches = validation, batches
        self.dataset, self.rules = validation.dataset, validation.rules

    def __call__(self, network: nn.Module) -> Metrics:
        supernet = Supernet(network)
        evaluator = PanopticEvaluator(supernet, self.validation, self.batches)
        return evaluator.evaluate(hand_made(supernet.space), lambda *_: None)


def _validation(
    settings: Settings, recipe: Recipe, datasets: Datasets, network: PanopticNetwork
) -> _HandMadePath | None:
    divisor = network.config.image_divisor
    validation = training_validation(settings, recipe, datasets.nas_val, divisor)
    if validation is None:
        return None
    return _HandMadePath(validation, recalibration_batches(settings, datasets.train, divisor))


class _Part(NamedTuple):
    """One of the trainings that follow each other."""

    recipe: Recipe
    folder: Path
    paths: PathSampler
    title: str


def _machine(settings: Settings, part: _Part, progress: bool) -> Hardware:
    """Return what a part is trained on: several processes where they can share paths, not a batch's images."""
    sharing = batch_of_cycle(part.paths) and not part.recipe.distillation
    return hardware(settings, progress=progress, sharing=settings.machine.supernet_processes if sharing else 1)


def _parts(settings: Settings, space: SearchSpace, folder: Path) -> list[_Part]:
    if settings.search.space != "elastic":
        every = _Part(settings.supernet, folder / "fair", FairPaths(space, settings.seed), "supernet, fair cycles")
    elif settings.sandwich:
        paths: PathSampler = SizeSandwich(space, settings.random_paths, settings.seed)
        every = _Part(settings.supernet, folder / "sandwich", paths, "supernet, sandwich steps")
    else:
        paths = UniformPaths(space, settings.seed, settings.random_paths)
        every = _Part(settings.supernet, folder / "random", paths, "supernet, random paths")
    first = []
    if settings.warmup is not None:
        first.append(_Part(settings.warmup, folder / "warmup", _OnePath(hand_made(space)), "supernet, first path"))
    if settings.largest is not None and settings.search.space == "elastic":
        # With the operators of which the others can be made; of all networks that have them it is the largest.
        largest = _OnePath(family(space)[-1])
        first.append(_Part(settings.largest, folder / "largest", largest, "supernet, largest path"))
    return [*first, every]


def check_cycles(settings: Settings, space: SearchSpace) -> None:
    """Refuse a training of the supernet that would end inside of a cycle of paths.

    Raises:
        ValueError: Naming the passes and the paths of a cycle.
    """
    if settings.search.space == "elastic":
        paths = settings.random_paths + 2 * settings.sandwich
        settings.supernet.check_cycle(paths, same_batch=paths > 1)
    else:
        settings.supernet.check_cycle(FairPaths(space).cycle)


class _OnePath:
    """Trains one architecture of a supernet."""

    cycle = 1

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture

    def path(self, step: int) -> Architecture:
        return self.architecture
