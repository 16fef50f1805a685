"""The fourth stage: a network of the comparison, trained on its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.results.saved import WEIGHTS, load_network, save_network
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.batches import training_validation
from autopanoptic.panoptic.stages.machine import hardware
from autopanoptic.panoptic.stages.networks import network_config, read_from, usage_of
from autopanoptic.panoptic.stages.starts import started
from autopanoptic.panoptic.stages.supernet import SUPERNET
from autopanoptic.panoptic.training.trainer import require_training, train
from autopanoptic.panoptic.training.training import Training


def retrain(
    settings: Settings,
    architecture: Architecture,
    datasets: Datasets,
    folder: Path,
    supernet: Path,
    *,
    on_pass: Callable[[int], None] | None = None,
) -> PanopticNetwork:
    """Train the stand-alone network of an architecture.

    Where the recipe asks for panoptic quality on the way, it is measured on nas_val.

    Args:
        settings: Of the run.
        architecture: Of the network.
        datasets: Of the run.
        folder: Where the network goes, and where its training goes on from.
        supernet: The folder of the trained supernet, whose weights the network may start from.
        on_pass: Called with the number of passes done, after each.

    Raises:
        ValueError: If the folder holds another training, or damaged files.
    """
    config = network_config(settings, datasets.train.categories, searched=True)
    network = started(settings, config, architecture, supernet / SUPERNET, datasets.train.categories)
    machine = hardware(settings, progress=False)
    training = Training(
        datasets.train, settings.transform(settings.retrain), settings.retrain, hardware=machine, seed=settings.seed,
        validation=training_validation(settings, settings.retrain, datasets.nas_val, config.image_divisor),
    )  # fmt: skip
    if (folder / WEIGHTS).exists():
        with read_from(folder / WEIGHTS):
            trained = load_network(folder)
        require_training(network, training, folder)
        return trained
    train(network, training, folder, on_pass=on_pass)
    save_network(network, architecture, folder, usage_of(settings, datasets.train.categories))
    return network
