"""The second stage: the supernet, trained."""

from __future__ import annotations

from pathlib import Path

from autopanoptic.nas import Architecture, FairPaths, Supernet
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.model.weights import load_weights, save_weights
from autopanoptic.panoptic.search.inflate import inflate
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.stages.machine import hardware
from autopanoptic.panoptic.stages.networks import build, network_config, read_from
from autopanoptic.panoptic.stages.settings import Settings
from autopanoptic.panoptic.training.trainer import train

SUPERNET = "supernet.pt"
"""File of a trained supernet's weights."""


def train_supernet(settings: Settings, datasets: Datasets, folder: Path, *, progress: bool) -> Supernet:
    """Train the supernet: one path first where the settings say so, then fair cycles of all."""
    network = build(network_config(settings, datasets.train.categories), settings.seed)
    supernet = Supernet(network)
    weights = folder / SUPERNET
    if weights.exists():
        with read_from(weights):
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


class _OnePath:
    """Trains one architecture of a supernet."""

    cycle = 1

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture

    def path(self, step: int) -> Architecture:
        return self.architecture
