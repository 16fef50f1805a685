"""The second stage: the supernet, trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

from torch import nn

from autopanoptic.nas import Architecture, FairPaths, Option, PathSampler, SearchSpace, Supernet, UniformPaths
from autopanoptic.nas.evaluation.evaluator import Metrics, Unheard
from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.loading.batch import Batch
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.designs.names import is_component
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.weights import load_weights, save_weights
from autopanoptic.panoptic.results.backbones import BACKBONE, load_backbone, pretraining_folder
from autopanoptic.panoptic.search.designs import designs
from autopanoptic.panoptic.search.evaluator import PanopticEvaluator, Validation
from autopanoptic.panoptic.search.inflate import inflate
from autopanoptic.panoptic.search.paths import SizeSandwich, largest_plain
from autopanoptic.panoptic.search.strategies import family, hand_made
from autopanoptic.panoptic.search.supernet_start import begin, start_is_there
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.batches import recalibration_batches, validation_of
from autopanoptic.panoptic.stages.costs import within_family
from autopanoptic.panoptic.stages.machine import hardware, threads_of_torch
from autopanoptic.panoptic.stages.networks import build, network_config, pretrained, read_from
from autopanoptic.panoptic.training.module import batch_of_cycle
from autopanoptic.panoptic.training.recipe import Recipe
from autopanoptic.panoptic.training.trainer import require_training, train
from autopanoptic.panoptic.training.training import Training

SUPERNET = "supernet.pt"
"""File of a trained supernet's weights."""


def train_supernet(
    settings: Settings,
    datasets: Datasets,
    folder: Path,
    *,
    progress: bool,
    paths: Callable[[SearchSpace], PathSampler] | None = None,
) -> Supernet:
    """Train the supernet: one path first where the settings say so, whose weights others take over, then all paths.

    A space of operators is trained in fair cycles, as in the paper; one of widths and depths, whose options share their
    weights, by several paths on each batch, for one update, of those that cost about as much as the hand-made family's
    largest at most: random ones, and with the sandwich rule the largest and the smallest. There every network is a part
    of the largest of that family, which may be trained before them. A space of components is trained likewise, each
    path with its own losses, and before them the largest networks of all its designs.

    It begins as `supernet_init` says. Once it is trained, a file that it began with may be gone.

    Where a recipe asks for panoptic quality on the way, it is that of the hand-made network's path on nas_val.

    Where the settings have a pretraining of the supernet, it begins with the backbone that lies in ``pretraining/``
    beside the folder.

    Args:
        settings: Of the run.
        datasets: Its data.
        folder: Where the supernet goes, and where its training goes on from.
        progress: Whether to tell the progress.
        paths: Takes the part of the space about as dear as the hand-made family at most, and says which of its paths
            are trained, instead of those that the settings ask for.

    Raises:
        FileNotFoundError: If that backbone or the file of its starting weights is not there.
        ValueError: If the folder holds another supernet, naming what differs, or a damaged one, or the starting weights
            do not fit.
    """
    config = network_config(settings, datasets.train.categories)
    weights = folder / SUPERNET
    trained = weights.exists()
    begun = partial(_begun, settings, config, datasets.train.categories, folder)
    network = build(config, settings.seed) if trained else begun()
    supernet = Supernet(network)
    parts = _parts(settings, within_family(settings, datasets, supernet.space), folder, paths)
    trainings = [_training(settings, part, datasets, config.image_divisor, progress=progress) for part in parts]
    if trained:
        with read_from(weights):
            load_weights(network, weights)
        known = start_is_there(settings.supernet_init)
        fresh = begun() if known else network
        for part, training in zip(parts, trainings, strict=True):
            # What the last part began with is what the first has ended with.
            require_training(fresh, training, part.folder, any_start=not known or part is not parts[0])
        return supernet
    for part, training in zip(parts, trainings, strict=True):
        with threads_of_torch(settings.machine.threads):
            train(network, training, part.folder, title=part.title)
        if part.plain:
            inflate(network, part.plain)
    save_weights(network, weights)
    return supernet


def _begun(settings: Settings, config: PanopticConfig, categories: Categories, folder: Path) -> PanopticNetwork:
    """Return the supernet as its training begins: drawn from the seed, but for what is given or pretrained."""
    drawn = pretrained(build(config, settings.seed), settings.backbone())
    network = begin(drawn, settings.supernet_init, categories, settings.data.normalization)
    if settings.pretraining.supernet is not None:
        load_backbone(network.backbone, pretraining_folder(folder.parent) / BACKBONE)
    return network


class _HandMadePath:
    """Measures the path that one would build by hand, with batch-norm statistics of its own.

    Batches are decoded where they are needed first: sent to the process that measures, each of their tensors would take
    an open file, of which there may be some hundred in a process.
    """

    def __init__(self, settings: Settings, datasets: Datasets, divisor: int) -> None:
        self.settings, self.datasets, self.divisor = settings, datasets, divisor
        self.dataset, self.rules = datasets.nas_val, settings.merge

    @cached_property
    def _images(self) -> tuple[Validation, Iterable[Batch] | None]:
        validation = validation_of(self.settings, self.dataset, self.divisor)
        return validation, recalibration_batches(self.settings, self.datasets.train, self.divisor)

    def __call__(self, network: nn.Module) -> Metrics:
        supernet = Supernet(network)
        evaluator = PanopticEvaluator(supernet, *self._images)
        return evaluator.evaluate(hand_made(supernet.space), Unheard())


class _Part(NamedTuple):
    """One of the trainings that follow each other."""

    recipe: Recipe
    folder: Path
    paths: PathSampler
    title: str
    plain: Mapping[str, Option] | None = None
    """The operators that it trains alone, and of which the others are made when it ends; None where it trains all."""


def _training(settings: Settings, part: _Part, datasets: Datasets, divisor: int, *, progress: bool) -> Training:
    """Return what a part is: on as many processes as have a path each, where they can share those of a step.

    Those of a part that trains plain operators have equal parts of each batch, of two images at least.
    """
    processes = settings.machine.supernet_processes
    shared = part.paths.cycle if batch_of_cycle(part.paths) and not part.recipe.distillation else 1
    split = _equal_parts(part.recipe.batch_size, processes) if part.plain and shared == 1 else 1
    return Training(
        datasets.train, settings.transform(part.recipe), part.recipe, part.paths,
        hardware(settings, progress=progress, sharing=min(processes, shared), splitting=split),
        settings.seed, _HandMadePath(settings, datasets, divisor) if part.recipe.validate_every else None,
    )  # fmt: skip


def _equal_parts(batch: int, processes: int) -> int:
    """Return in how many equal parts a batch is divided, of two images at least, for the sake of batch norms."""
    return max(parts for parts in range(1, processes + 1) if parts == 1 or (batch % parts == 0 and batch // parts > 1))


def _parts(
    settings: Settings, space: SearchSpace, folder: Path, given: Callable[[SearchSpace], PathSampler] | None
) -> list[_Part]:
    if given is not None:
        every = _Part(settings.supernet, folder / "given", given(space), "supernet, given paths")
    elif settings.search.space == "auto-panoptic":
        every = _Part(settings.supernet, folder / "fair", FairPaths(space, settings.seed), "supernet, fair cycles")
    elif settings.sandwich:
        paths: PathSampler = SizeSandwich(space, settings.random_paths, settings.seed)
        every = _Part(settings.supernet, folder / "sandwich", paths, "supernet, sandwich steps")
    else:
        paths = UniformPaths(space, settings.seed, settings.random_paths)
        every = _Part(settings.supernet, folder / "random", paths, "supernet, random paths")
    first = []
    if settings.warmup is not None:
        made = hand_made(space)
        first.append(_Part(settings.warmup, folder / "warmup", _OnePath(made), "supernet, first path", made))
    if settings.largest is not None and settings.search.space != "auto-panoptic":
        first.append(_largest(settings.largest, space, folder / "largest", settings.seed))
    return [*first, every]


def _largest(recipe: Recipe, space: SearchSpace, folder: Path, seed: int) -> _Part:
    """Return the training of the largest network with the operators of which the others can be made.

    Of all networks that have them it is the largest. Where components are choices there is one for each of their
    combinations, and each pass trains one that is drawn.
    """
    if len(designs(space)) == 1:
        largest = family(space)[-1]
        return _Part(recipe, folder, _OnePath(largest), "supernet, largest path", largest)
    part = largest_plain(space)
    plain = {choice.label: choice.options[0] for choice in part.choices if not is_component(choice.label)}
    return _Part(recipe, folder, UniformPaths(part, seed), "supernet, largest of all designs", plain)


class _OnePath:
    """Trains one architecture of a supernet."""

    cycle = 1

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture

    def path(self, step: int) -> Architecture:
        return self.architecture
