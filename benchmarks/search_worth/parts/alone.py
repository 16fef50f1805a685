"""Trains networks by themselves from weights that are drawn, several at a time, and measures each."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from rich.console import Console

from autopanoptic.nas import Architecture
from autopanoptic.nas.evaluation.evaluator import Metrics, Report
from autopanoptic.panoptic.compare.clock import Clock
from autopanoptic.panoptic.configs.config import change_settings
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.batches import validation_of
from autopanoptic.panoptic.stages.machine import device_of, threads_of_torch
from autopanoptic.panoptic.stages.retrain import retrain
from autopanoptic.panoptic.stages.side_by_side import ended, executor_of, failed
from autopanoptic.panoptic.training.bars import bars

CATEGORY = "val of "
"""What the names of categories' metrics begin with."""
MEASURING = "measuring_"
"""What the names of the seconds begin with that a network took to be measured."""


class Alone:
    """Trains and measures the network of an architecture; for an executor.

    Args:
        settings: Of the training.
        datasets: What it trains and is measured on.
        folder: Holds a folder for each architecture.
    """

    def __init__(self, settings: Settings, datasets: Datasets, folder: Path) -> None:
        self.settings, self.datasets, self.folder = settings, datasets, folder.absolute()

    def evaluate(self, architecture: Architecture, report: Report) -> Metrics:
        """Return PQ on nas_val and val in percent, on val by category besides, and what the training took."""
        folder, passes = self.folder / architecture.id, self.settings.retrain.passes
        with threads_of_torch(self.settings.machine.threads):
            clock = Clock(folder, self.settings.machine.checkpoint_every, passes, lambda done: report(done, {}))
            network = retrain(self.settings, architecture, self.datasets, folder, folder, on_pass=clock.passed)
            begun = time.monotonic(), time.process_time()
            quality = measured(self.settings, self.datasets, network)
            ended = time.monotonic(), time.process_time()
        times = dict(zip(("seconds", "cpu_seconds"), clock.seconds, strict=True))
        measuring = {f"{MEASURING}{key}": end - start for key, start, end in zip(times, begun, ended, strict=True)}
        return {**quality, **times, **measuring}


def measured(settings: Settings, datasets: Datasets, network: PanopticNetwork) -> dict[str, float]:
    """Return a network's objective on nas_val and on val, and on val the PQ of each category, in percent."""
    divisor, found = network.config.image_divisor, {}
    network.to(device_of(settings))
    for name, split in (("nas_val", datasets.nas_val), ("val", datasets.val)):
        quality = validation_of(settings, split, divisor).quality(network)
        found[name] = quality.metrics()[settings.search.objective]
    names = {category.id: category.name for category in datasets.val.categories}
    of = quality.per_category
    return found | {f"{CATEGORY}{names[key]}": 100 * one.pq for key, one in of.items() if one.present}


def row_of(metrics: Metrics) -> dict[str, Any]:
    """Return the metrics of a network as a row has them: those of categories by themselves."""
    flat = {name: value for name, value in metrics.items() if not name.startswith(CATEGORY)}
    categories = {name.removeprefix(CATEGORY): value for name, value in metrics.items() if name.startswith(CATEGORY)}
    return {**flat, "by_category": categories}


def trained_alone(
    settings: Settings, chosen: Mapping[str, Architecture], datasets: Datasets, folder: Path, console: Console
) -> Generator[tuple[str, dict[str, Any]]]:
    """Train networks from scratch by the recipe `retrain`, and yield what each is worth when it has ended.

    Trainings go on from what their folders hold. On a CPU there are as many at a time as the settings have workers.

    Args:
        settings: Of the trainings; what they begin with is left out.
        chosen: Different architectures by names.
        datasets: What they train and are measured on.
        folder: Holds a folder for each architecture.
        console: Shows how far they are.

    Raises:
        TrainingError: If one fails.
    """
    machine = settings.machine
    alone = change_settings(settings, {"init": "scratch", "machine.trainings": machine.workers * machine.threads})
    with (
        bars(console, "training", list(chosen)) as move,
        closing(
            ended(
                Alone(alone, datasets, folder), chosen, executor_of(alone, len(chosen)),
                lambda name, done: move(name, done, alone.retrain.passes),
            )
        ) as outcomes,
    ):  # fmt: skip
        for name, outcome in outcomes:
            if outcome.error is not None:
                raise failed(name, outcome)
            assert outcome.metrics is not None
            yield name, row_of(outcome.metrics)
