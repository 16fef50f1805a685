"""The second stage: the supernet, trained."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from autopanoptic.nas import Architecture, FairPaths, PathSampler, SearchSpace, Supernet
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.model.weights import load_weights, save_weights
from autopanoptic.panoptic.search.inflate import inflate
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.stages.machine import hardware
from autopanoptic.panoptic.stages.networks import build, network_config, read_from
from autopanoptic.panoptic.stages.settings import Settings
from autopanoptic.panoptic.training.recipe import Recipe
from autopanoptic.panoptic.training.trainer import require_training, train

SUPERNET = "supernet.pt"
"""File of a trained supernet's weights."""


def train_supernet(settings: Settings, datasets: Datasets, folder: Path, *, progress: bool) -> Supernet:
    """Train the supernet: one path first where the settings say so, then fair cycles of all.

    Raises:
        ValueError: If the folder holds another supernet, naming what differs, or a damaged one.
    """
    config = network_config(settings, datasets.train.categories)
    network = build(config, settings.seed)
    supernet = Supernet(network)
    weights, machine = folder / SUPERNET, hardware(settings, progress=progress)
    parts = _parts(settings, supernet.space, folder)
    if weights.exists():
        with read_from(weights):
            load_weights(network, weights)
        fresh = build(config, settings.seed)
        for part in parts:
            # What the last part began with is what the first has ended with.
            require_training(
                fresh, datasets.train, settings.transform(part.recipe), part.recipe, part.folder, paths=part.paths,
                hardware=machine, seed=settings.seed, any_start=part is not parts[0],
            )  # fmt: skip
        return supernet
    for part in parts:
        train(
            network, datasets.train, settings.transform(part.recipe), part.recipe, part.folder, paths=part.paths,
            hardware=machine, seed=settings.seed, title=part.title,
        )  # fmt: skip
        if isinstance(part.paths, _OnePath):
            inflate(network, part.paths.architecture)
    save_weights(network, weights)
    return supernet


class _Part(NamedTuple):
    """One of the trainings that follow each other."""

    recipe: Recipe
    folder: Path
    paths: PathSampler
    title: str


def _parts(settings: Settings, space: SearchSpace, folder: Path) -> list[_Part]:
    fair = _Part(settings.supernet, folder / "fair", FairPaths(space, settings.seed), "supernet, fair cycles")
    if settings.warmup is None:
        return [fair]
    return [_Part(settings.warmup, folder / "warmup", _OnePath(hand_made(space)), "supernet, first path"), fair]


class _OnePath:
    """Trains one architecture of a supernet."""

    cycle = 1

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture

    def path(self, step: int) -> Architecture:
        return self.architecture
