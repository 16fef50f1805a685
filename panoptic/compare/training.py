"""One training of a comparison: the network is trained, measured on val, and its row written."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from autopanoptic.nas import Architecture
from autopanoptic.nas.evaluation.evaluator import Metrics, Report
from autopanoptic.nas.executors.places import place_of_worker
from autopanoptic.panoptic.compare.clock import Clock
from autopanoptic.panoptic.compare.contestants import Contestant, network_config_of
from autopanoptic.panoptic.compare.plan import folder_of
from autopanoptic.panoptic.compare.rows import COUNTS, Row
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.batches import validation_of
from autopanoptic.panoptic.stages.machine import device_of, threads_of_torch
from autopanoptic.panoptic.stages.prepare import SUPERNET_FOLDER
from autopanoptic.panoptic.stages.retrain import retrain
from autopanoptic.panoptic.trained.evaluate import measure
from autopanoptic.panoptic.trained.evaluation import NetworkEvaluation


def key_of(name: str, seed: int) -> Architecture:
    """Return a training as what an executor carries."""
    return Architecture({"network": name, "seed": seed})


class Trainings:
    """Trains and measures what an executor is given by `key_of`.

    Args:
        contestants: By their names.
        datasets: Of the comparison.
        folder: Of the comparison.
        gpus: The names of the GPUs, where each worker has one of its own; empty elsewhere.
    """

    def __init__(
        self, contestants: Mapping[str, Contestant], datasets: Datasets, folder: Path, gpus: Sequence[str] = ()
    ) -> None:
        self.contestants, self.datasets, self.gpus = contestants, datasets, gpus
        self.folder = folder.absolute()

    def evaluate(self, architecture: Architecture, report: Report) -> Metrics:
        """Train, measure and write the row."""
        name, seed = str(architecture["network"]), int(architecture["seed"])
        place = place_of_worker()
        if self.gpus and place is not None:
            # Before this process opens one; it then has this one alone.
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpus[place % len(self.gpus)]
        contestant = self.contestants[name]
        with threads_of_torch(contestant.settings.machine.threads):
            train(contestant, seed, self.datasets, self.folder, on_pass=lambda done: report(done, {}))
        return {}


def train(
    contestant: Contestant,
    seed: int,
    datasets: Datasets,
    folder: Path,
    *,
    on_pass: Callable[[int], None] | None = None,
) -> Row:
    """Train a network with a seed, going on from what its folder holds, measure it on val and write its row.

    Args:
        contestant: The network.
        seed: Of its first weights and of what its training draws.
        datasets: Of the comparison.
        folder: Of the comparison.
        on_pass: Called with the number of passes done, after each.

    Raises:
        ValueError: If the training's folder holds another training, or damaged files.
    """
    settings = replace(contestant.settings, seed=seed)
    path = folder_of(folder, contestant.name, seed)
    clock = Clock(path, settings.machine.checkpoint_every, settings.retrain.passes, on_pass)
    network = retrain(settings, contestant.architecture, datasets, path, folder / SUPERNET_FOLDER, on_pass=clock.passed)
    found = measured(contestant.name, network, settings, datasets)
    found.quality.images.save(path / COUNTS, datasets.val.image_ids.tolist())
    seconds, cpu_seconds = clock.seconds
    on_cpu = device_of(settings).type == "cpu"
    row = Row(
        contestant.name, seed, found.metrics(), contestant.gflops, contestant.mparams, seconds,
        cpu_seconds if on_cpu else None, settings.retrain.passes, device_name(settings),
    )  # fmt: skip
    row.save(path)
    return row


def measured(name: str, network: PanopticNetwork, settings: Settings, datasets: Datasets) -> NetworkEvaluation:
    """Measure a network on val, by the rules of its settings."""
    divisor = network_config_of(settings, datasets).image_divisor
    validation = validation_of(settings, datasets.val, divisor)
    return measure(name, network.to(device_of(settings)), validation)


def device_name(settings: Settings) -> str:
    """Return what the trainings run on."""
    device = device_of(settings)
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
