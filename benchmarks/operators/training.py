"""One training of one network, whose panoptic quality is read on the way."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from autopanoptic.nas.supernet.state import seeded
from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.data.coco.layout import Datasets, find_splits
from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.data.scenes.draw import REFERENCE_SIZE
from autopanoptic.panoptic.data.scenes.files import VERSION, write_scenes
from autopanoptic.panoptic.results.saved import new_network
from autopanoptic.panoptic.search.costs import costs_of
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.batches import validation_of
from autopanoptic.panoptic.training.hardware import Hardware
from autopanoptic.panoptic.training.trainer import train
from autopanoptic.panoptic.training.training import Training
from benchmarks.operators.counts import Counts, counts_of, pq_of
from benchmarks.operators.networks import NETWORKS

CHECKPOINT_EVERY = 100
RESULT = "result.json"
AS_BEGUN = {"data.scenes.nas_val": 400, "network.segmentation_loss_weight": 1.0, "network.pixel_loss_factor": 1.0}
"""What the config of the scenes has changed since the first of these trainings, which all others are compared with."""


@dataclass(frozen=True)
class Plan:
    """What all trainings share.

    Attributes:
        folder: Where data and trainings are kept.
        passes: Of each training; the learning rate ends at 0 there.
        reads: Passes after which the quality is read, the last one included.
        scenes_seed: Of the generated scenes, which are the same for all networks and seeds.
        variant: Name of another recipe, whose results are kept apart; empty for that of the config.
        changes: Of the config's settings, by their keys, such as ``retrain.learning_rate``, for that recipe.
    """

    folder: Path
    passes: int = 800
    reads: tuple[int, ...] = (200, 400, 800)
    scenes_seed: int = 0
    variant: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def settings(self) -> Settings:
        """The settings of a search on scenes, with the retraining made so long.

        The networks differ in the widths and depths of their configs, which those of the space elastic do not follow.
        """
        recipe = {"passes": self.passes, "validate_every": math.gcd(*self.reads), "keep": "last"}
        changes = {f"retrain.{key}": value for key, value in recipe.items()}
        kept = {"machine.device": "cpu", "search.space": "auto-panoptic", **AS_BEGUN}
        return load_config("scenes", {**kept, **self.changes, **changes})

    def datasets(self) -> Datasets:
        """Return the scenes, generated where they are missing."""
        root = self.folder / f"scenes-{VERSION}-{self.scenes_seed}"
        scenes = self.settings.data.require_scenes()
        counts = {"train": scenes.train, "nas_val": scenes.nas_val, "val": scenes.val}
        return find_splits(write_scenes(root, counts, seed=self.scenes_seed)).open(0)

    def folder_of(self, name: str, seed: int) -> Path:
        """Return where a training is kept."""
        changes = "".join(f"-{key}={value}" for key, value in sorted(self.changes.items()))
        trainings = f"scenes-{VERSION}-{self.scenes_seed}-passes-{self.passes}{changes}"
        return self.folder / trainings / f"{name}-{seed}"

    def result(self, name: str, seed: int) -> dict[str, Any] | None:
        """Return what a training has found, or None while it has not ended."""
        path = self.folder_of(name, seed) / RESULT
        found: dict[str, Any] | None = json.loads(path.read_text()) if path.exists() else None
        return found

    def counts(self, name: str, seed: int, read: int) -> Counts:
        """Return the counts on val that a training had after so many passes."""
        with np.load(self.folder_of(name, seed) / f"read-{read}.npz") as arrays:
            found: Counts = arrays["counts"]
        return found


class Reader:
    """Measures a network image by image, for `train`, and keeps what it counted last."""

    def __init__(self, plan: Plan, dataset: CocoPanoptic, divisor: int) -> None:
        self.dataset, self.rules = dataset, plan.settings.merge
        self.counts: Counts | None = None
        self._validation = validation_of(plan.settings, dataset, divisor)

    def __call__(self, network: nn.Module) -> dict[str, float]:
        """Return pq in percent."""
        self.counts = counts_of(network, self._validation, self.dataset)
        return {"pq": pq_of(self.counts)}


def run(plan: Plan, name: str, seed: int) -> None:
    """Train one network, going on from what its folder holds; the seed decides weights, order and samples.

    Trainings of one seed see the same batches in the same order, and draw the same anchors and RoIs as far as their
    proposals agree. Where the recipe averages weights, it is the average that is measured.
    """
    torch.set_num_threads(1)
    datasets, folder = plan.datasets(), plan.folder_of(name, seed)
    things, stuff = (len(group) for group in (datasets.val.categories.things, datasets.val.categories.stuff))
    config = NETWORKS[name].config(plan.settings.network_for(things, stuff, retrained=True))
    architecture = NETWORKS[name].architecture(config)
    with seeded(seed):
        network = new_network(config, architecture)
    reader, start = Reader(plan, datasets.val, config.image_divisor), time.perf_counter()

    def on_pass(done: int) -> None:
        if done in plan.reads and reader.counts is not None:
            _write(folder / f"read-{done}.npz", reader.counts)
            score, seconds = pq_of(reader.counts), time.perf_counter() - start
            print(f"{name}, seed {seed}: PQ {score:.1f} after {done} passes, {seconds:.0f} s", flush=True)

    hardware = Hardware(accelerator="cpu", progress=False, checkpoint_every=CHECKPOINT_EVERY)
    recipe = plan.settings.retrain
    training = Training(
        datasets.train, plan.settings.transform(recipe), recipe, hardware=hardware, seed=seed, validation=reader
    )
    train(network, training, folder, on_pass=on_pass)
    costs = costs_of(config, REFERENCE_SIZE, REFERENCE_SIZE)
    result = {
        "network": name, "seed": seed, "passes": plan.passes, "scenes_version": VERSION,
        **{cost: value(architecture) for cost, value in costs.items()},
        "pq": {str(read): pq_of(plan.counts(name, seed, read)) for read in plan.reads},
    }  # fmt: skip
    partial = folder / f".{RESULT}"
    partial.write_text(json.dumps(result, indent=1) + "\n")
    os.replace(partial, folder / RESULT)


def _write(path: Path, counts: Counts) -> None:
    partial = path.with_name(f".{path.name}")
    np.savez_compressed(partial, counts=counts)
    os.replace(partial, path)
