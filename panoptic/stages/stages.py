"""The stages of a panoptic search: data, supernet, search, retraining. Each goes on from what its folder holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress

from autopanoptic.nas import (
    AdditiveCost,
    Architecture,
    Evolution,
    FairPaths,
    FlopCount,
    InlineExecutor,
    Objective,
    ParameterCount,
    PathPriority,
    ProcessExecutor,
    RandomSearch,
    RegularizedEvolution,
    Result,
    Search,
    SearchSpace,
    Strategy,
    Supernet,
)
from autopanoptic.nas.costs.table import CostTable
from autopanoptic.nas.supernet.fairness import cycle_length
from autopanoptic.nas.supernet.state import seeded
from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.coco.checks import check
from autopanoptic.panoptic.data.coco.layout import Datasets, find_splits
from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.data.loading.batches import Batch, evaluation_batches, training_batches
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.data.scenes.files import write_scenes
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.operators.deform import FLOP_FORMULAS
from autopanoptic.panoptic.model.weights import load_weights, save_weights
from autopanoptic.panoptic.results.saved import WEIGHTS, load_network, new_network, save_network
from autopanoptic.panoptic.search.evaluator import PanopticEvaluator, Validation
from autopanoptic.panoptic.search.inflate import inflate
from autopanoptic.panoptic.stages.settings import Settings
from autopanoptic.panoptic.training.hardware import Hardware
from autopanoptic.panoptic.training.trainer import train

SUPERNET = "supernet.pt"
"""File of a trained supernet's weights."""
CHECKED = 300
"""Training images whose pixels are compared with the JSON before anything starts."""
IN_MEMORY = 2**30
"""Bytes up to which batches are decoded once and kept."""


def prepare(settings: Settings, folder: Path, console: Console) -> Datasets:
    """Generate or open the data, and check it.

    Raises:
        FileNotFoundError: If a file or folder is missing.
        ValueError: If the data breaks the format; lists what is wrong.
    """
    if settings.data is None:
        with _bar(console, "generating scenes") as progress:
            counts = {"train": settings.scenes.train, "nas_val": settings.scenes.nas_val, "val": settings.scenes.val}
            root = write_scenes(
                folder / "data", counts, seed=settings.seed, difficulty=settings.difficulty, progress=progress
            )
    else:
        root = Path(settings.data)
    datasets = find_splits(root).open(settings.seed, orientation=settings.orientation)
    if settings.data is not None:
        # A wrong area in nas_val or val would come up in every candidate, so these are checked whole.
        limits: dict[CocoPanoptic, int | None] = {datasets.train: CHECKED, datasets.nas_val: None, datasets.val: None}
        for dataset, limit in limits.items():
            with _bar(console, "checking the data") as progress:
                check(dataset, limit=limit, seed=settings.seed, progress=progress)
    return datasets


def network_config(settings: Settings, categories: Categories, *, searched: bool = False) -> PanopticConfig:
    """Return the network's shapes for a data set's categories.

    Args:
        settings: Of the run.
        categories: Of the data.
        searched: Whether for the networks that are retrained, which the paper makes wider than the supernet.
    """
    things, stuff = len(categories.things), len(categories.stuff)
    if settings.preset == "coco":
        return PanopticConfig.coco(things, stuff, searched=searched)
    config = PanopticConfig.scenes(things, stuff)
    if settings.data is None:
        return config
    # Photographs at 256 pixels hold larger and more things than the 96 pixels of a scene.
    return replace(
        config, anchor_sizes=(16, 32, 64, 128, 256), roi_canonical_size=112, rpn_samples=256, box_samples=128,
        detections_per_image=100,
    )  # fmt: skip


def hand_made(space: SearchSpace) -> Architecture:
    """Return the network that one would build by hand: 3x3 kernels everywhere, the weakest squeeze, a plain FPN."""
    plain = {"backbone": "shuffle3", "mask": "dw3", "segmentation": "dw3", "f2b": "r4", "b2f": "r4", "neck": "fpn"}
    return space.canonical({choice.label: plain[choice.label.split(".")[0]] for choice in space.choices})


class _OnePath:
    """Trains one architecture of a supernet."""

    cycle = 1

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture

    def path(self, step: int) -> Architecture:
        return self.architecture


def build(config: PanopticConfig, seed: int) -> PanopticNetwork:
    """Build a supernet whose weights depend on the seed alone."""
    with seeded(seed):
        return PanopticNetwork(config)


def hardware(settings: Settings, *, progress: bool) -> Hardware:
    """Return what a training runs on."""
    return Hardware(
        accelerator="gpu" if device_of(settings).type == "cuda" else "cpu",
        precision=settings.precision,
        workers=0 if settings.preset == "scenes" else 4,
        progress=progress,
        checkpoint_every=24 if settings.preset == "scenes" else 960,
    )


def device_of(settings: Settings) -> torch.device:
    """Return where networks are evaluated."""
    if settings.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(settings.device)


def train_supernet(settings: Settings, datasets: Datasets, folder: Path, *, progress: bool) -> Supernet:
    """Train the supernet: one path first where the settings say so, then fair cycles of all."""
    network = build(network_config(settings, datasets.train.categories), settings.seed)
    supernet = Supernet(network)
    weights = folder / SUPERNET
    if weights.exists():
        load_weights(network, weights)
        return supernet
    machine = hardware(settings, progress=progress)
    if settings.warmup is not None:
        start = hand_made(supernet.space)
        train(
            network, datasets.train, settings.transform(settings.warmup), settings.warmup, folder / "warmup",
            paths=_OnePath(start), hardware=machine, seed=settings.seed, title="supernet, first path",
        )  # fmt: skip
        inflate(network, start)
    train(
        network, datasets.train, settings.transform(settings.supernet), settings.supernet, folder / "fair",
        paths=FairPaths(supernet.space, settings.seed), hardware=machine, seed=settings.seed,
        title="supernet, fair cycles",
    )  # fmt: skip
    save_weights(network, weights)
    return supernet


def network_of(supernet: Supernet) -> PanopticNetwork:
    """Return the supernet's network under its own type."""
    return cast("PanopticNetwork", supernet.module)


def strategy_of(settings: Settings, space: SearchSpace) -> Strategy:
    """Return the strategy that a run asks for, fitted to its number of trials.

    Raises:
        ValueError: If there are too few trials for it.
    """
    trials = settings.trials
    if settings.strategy == "random":
        return RandomSearch()
    if settings.strategy == "evolution":
        return Evolution(population=min(50, max(2, trials // 4)))
    if settings.strategy == "regularized-evolution":
        population = min(100, max(2, trials // 3))
        return RegularizedEvolution(population=population, sample=max(1, population // 4))
    cycles = (trials - 1) // cycle_length(space)
    if cycles < 1:
        raise ValueError(
            f"path-priority needs at least one fair cycle of {cycle_length(space)} trials and one for its answer; "
            f"trials is {trials}"
        )
    return PathPriority(cycles=cycles)


@lru_cache(2)
def costs_of(config: PanopticConfig, height: int, width: int) -> dict[str, Callable[[Architecture], float]]:
    """Return GFLOPs and millions of parameters as functions of an architecture.

    No option changes the shapes that other choices see, so both are sums over the choices. They are kept, since each
    option is measured when it is first met.

    Args:
        config: Of the networks.
        height: Of the image that a network sees, in pixels.
        width: Likewise.
    """
    with torch.device("meta"):
        supernet = Supernet(PanopticNetwork(config))
    flops = FlopCount(supernet, torch.zeros(1, 3, height, width, device="meta"), formulas=FLOP_FORMULAS)
    return {
        "gflops": AdditiveCost(supernet.space, flops, unit=1e9),
        "mparams": AdditiveCost(supernet.space, ParameterCount(supernet), unit=1e6),
    }


def costs(settings: Settings, datasets: Datasets) -> dict[str, Callable[[Architecture], float]]:
    """Return `costs_of` of the networks that are retrained, for an image of the size of nas_val's first."""
    config = network_config(settings, datasets.train.categories, searched=True)
    divisor = config.image_divisor
    height, width = settings.transform().size(*datasets.nas_val.sizes[0].tolist())
    return costs_of(config, -(-height // divisor) * divisor, -(-width // divisor) * divisor)


def check_feasible(settings: Settings, datasets: Datasets) -> None:
    """Refuse, before anything is trained, a search that could not even begin.

    Raises:
        ValueError: If the strategy cannot search with these settings, no candidate keeps the limit on FLOPs, the
            supernet's training ends within a cycle, or the objective is that of a kind of category that the data lacks.
    """
    categories = datasets.train.categories
    for kind, found in (("things", categories.things), ("stuff", categories.stuff)):
        if settings.objective.endswith(kind) and not found:
            raise ValueError(f"objective={settings.objective!r}, but {datasets.train.source} has no category of {kind}")
    config = network_config(settings, datasets.train.categories)
    with torch.device("meta"):
        whole = Supernet(PanopticNetwork(config)).space
    space = CostTable(costs(settings, datasets), _constraints(settings)).constrained(whole)
    strategy_of(settings, space).check(space, [Objective(settings.objective)])
    space.sample(np.random.default_rng(settings.seed))
    settings.supernet.check_cycle(FairPaths(whole).cycle)


def _constraints(settings: Settings) -> dict[str, tuple[float | None, float | None]]:
    return {} if settings.max_flops is None else {"gflops": (None, settings.max_flops)}


def batches_of(
    settings: Settings, dataset: CocoPanoptic, divisor: int
) -> list[Batch] | torch.utils.data.DataLoader[Batch]:
    """Return a split's batches for evaluation, decoded once where they are few."""
    small = settings.preset == "scenes"
    transform = settings.transform()
    loader = evaluation_batches(
        dataset, transform, batch_size=8 if small else 2, divisor=divisor, workers=0 if small else 4
    )
    return list(loader) if decoded_bytes(dataset, transform) <= IN_MEMORY else loader


def validation_of(settings: Settings, dataset: CocoPanoptic, divisor: int) -> Validation:
    """Return what measures networks on a split, in the run's precision and by its rules of merging."""
    return Validation(dataset, batches_of(settings, dataset, divisor), settings.rules, precision=settings.precision)


def decoded_bytes(dataset: CocoPanoptic, transform: Transform) -> int:
    """Return about how much memory a data set's batches take: images, semantic maps and a mask for each segment."""
    segments = np.diff(dataset.annotations.offsets)
    pixels = [math.prod(transform.size(height, width)) for height, width in dataset.sizes.tolist()]
    return sum(size * (3 * 4 + 1 + int(count)) for size, count in zip(pixels, segments, strict=True))


def search(
    settings: Settings,
    supernet: Supernet,
    datasets: Datasets,
    journal: Path,
    *,
    baseline: int | None = None,
    progress: bool,
) -> Result:
    """Search for the best path of the supernet on nas_val.

    Args:
        settings: Of the run.
        supernet: Trained.
        datasets: Of the run.
        journal: Where the search goes on from, if it exists.
        baseline: How many candidates to draw at random instead of searching, with a seed of its own.
        progress: Whether to show a bar.
    """
    device = device_of(settings)
    network = network_of(supernet).to(device)
    divisor = network.config.image_divisor
    validation = validation_of(settings, datasets.nas_val, divisor)
    several = settings.workers > 1 and device.type == "cpu"
    search = Search(
        supernet.space,
        strategy_of(settings, supernet.space) if baseline is None else RandomSearch(),
        PanopticEvaluator(supernet, validation, _recalibration(settings, datasets.train, divisor)),
        objectives=settings.objective,
        costs=costs(settings, datasets),
        constraints=_constraints(settings),
        executor=ProcessExecutor(settings.workers, max(1, settings.threads // settings.workers))
        if several
        else InlineExecutor(),
        ordered=True,
        journal=journal,
        seed=settings.seed + (baseline is not None),
    )
    if search.result().ended is not None and len(search.history) >= (baseline or 0):
        return search.result()
    result = search.run(trials=baseline or settings.trials, progress=progress)
    network.to("cpu")
    return result


def _recalibration(settings: Settings, dataset: CocoPanoptic, divisor: int) -> Iterable[Batch] | None:
    """Return the training batches that a candidate's batch norm sees; the same ones for every candidate."""
    if not settings.recalibration_batches:
        return None
    small = settings.preset == "scenes"
    loader = training_batches(
        dataset, settings.transform(), batch_size=settings.supernet.batch_size, divisor=divisor,
        seed=settings.seed + 1, stop=settings.recalibration_batches, workers=0 if small else 4,
    )  # fmt: skip
    return list(loader) if small else loader


def answer_of(settings: Settings, space: SearchSpace, result: Result) -> Architecture:
    """Return what a search has to say: path-priority builds its answer, the others take their best trial."""
    strategy = strategy_of(settings, space)
    if isinstance(strategy, PathPriority):
        return strategy.answers(result.space, result.history)[0]
    return result.best.architecture


def retrain(
    settings: Settings,
    architecture: Architecture,
    datasets: Datasets,
    folder: Path,
    supernet: Path,
    *,
    report: Callable[[int], None] | None = None,
) -> PanopticNetwork:
    """Train the stand-alone network of an architecture.

    Args:
        settings: Of the run.
        architecture: Of the network.
        datasets: Of the run.
        folder: Where the network goes, and where its training goes on from.
        supernet: The folder of the trained supernet, whose weights the network may start from.
        report: Called with the number of passes done, after each.
    """
    if (folder / WEIGHTS).exists():
        return load_network(folder)
    config = network_config(settings, datasets.train.categories, searched=True)
    network = _started(settings, config, architecture, supernet)
    train(
        network, datasets.train, settings.transform(settings.retrain), settings.retrain, folder,
        hardware=hardware(settings, progress=False), seed=settings.seed, report=report,
    )  # fmt: skip
    save_network(network, architecture, folder)
    return network


def _started(settings: Settings, config: PanopticConfig, architecture: Architecture, folder: Path) -> PanopticNetwork:
    """Return an architecture's network as its training begins."""
    if settings.start == "scratch":
        with seeded(settings.seed):
            return new_network(config, architecture)
    network = build(config, settings.seed)
    load_weights(network, folder / SUPERNET)
    return cast("PanopticNetwork", Supernet(network).subnet(architecture))


@contextmanager
def _bar(console: Console, title: str) -> Iterator[Callable[[int, int], None]]:
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(title)
        yield lambda done, total: progress.update(task, completed=done, total=total)
