"""What pretraining on crops of the scenes gains there: PQ of the hand-made network from scratch, and from its backbone.

Run as ``python benchmarks/pretraining.py [--json FILE]``. For each seed scenes are generated and cut into a
classification set; the backbone of the hand-made network learns to classify that; then the network is trained twice on
the scenes, with the same passes: once from scratch, once from the pretrained backbone. All by the functions behind
``pretrain`` and a run's stages, on the CPU.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from autopanoptic.nas import Architecture, Supernet
from autopanoptic.panoptic.configs.config import change_settings, load_config
from autopanoptic.panoptic.data.coco.layout import Datasets, find_splits
from autopanoptic.panoptic.data.scenes.files import write_scenes
from autopanoptic.panoptic.pretraining.crops import write_crops
from autopanoptic.panoptic.pretraining.images import open_images
from autopanoptic.panoptic.pretraining.recipe import PretrainingRecipe
from autopanoptic.panoptic.pretraining.stages import pretrain
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.batches import validation_of
from autopanoptic.panoptic.stages.machine import hardware
from autopanoptic.panoptic.stages.networks import build, network_config
from autopanoptic.panoptic.stages.starts import started
from autopanoptic.panoptic.training.trainer import train
from autopanoptic.panoptic.training.training import Training


def panoptic_quality(
    settings: Settings, architecture: Architecture, datasets: Datasets, passes: int, folder: Path
) -> float:
    config = network_config(settings, datasets.train.categories, searched=True)
    network = started(settings, config, architecture, Path())
    recipe = replace(settings.retrain, passes=passes)
    training = Training(
        datasets.train, settings.transform(recipe), recipe, hardware=hardware(settings, progress=False),
        seed=settings.seed,
    )  # fmt: skip
    train(network, training, folder)
    return float(validation_of(settings, datasets.val, config.image_divisor)(network)["pq"])


def one_seed(seed: int, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    counts = {"train": options.images, "nas_val": 1, "val": options.val}
    datasets = find_splits(write_scenes(folder / "scenes", counts, seed=seed)).open(seed)
    base = {"search.space": "auto-panoptic", "machine.device": "cpu", "seed": seed, "init": "scratch"}
    settings = load_config("scenes", base)
    architecture = hand_made(Supernet(build(network_config(settings, datasets.train.categories), seed)).space)
    images = open_images(write_crops(datasets, folder / "crops", seed=seed))
    recipe = replace(PretrainingRecipe.small(), passes=options.pretraining_passes)
    began = time.process_time()
    found = pretrain(settings, architecture, images, folder / "pretraining", recipe)
    seconds = time.process_time() - began
    warm = change_settings(settings, {"init": str(found.backbone), "init_part": "backbone"})
    return {
        "seed": seed,
        "crops": len(images.train.samples),
        "classes": found.classes,
        "top1": found.accuracies[0].top1,
        "pretraining_cpu_seconds": seconds,
        "pq_scratch": panoptic_quality(settings, architecture, datasets, options.passes, folder / "scratch"),
        "pq_pretrained": panoptic_quality(warm, architecture, datasets, options.passes, folder / "warm"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="how many")
    parser.add_argument("--images", type=int, default=400, help="scenes to train on")
    parser.add_argument("--val", type=int, default=100, help="scenes to measure on")
    parser.add_argument("--pretraining-passes", type=int, default=400, help="of 32 crops each")
    parser.add_argument("--passes", type=int, default=100, help="of the panoptic trainings")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = []
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            found.append(one_seed(seed, options, Path(folder)))
        print(json.dumps(found[-1]), flush=True)
        if options.json is not None:
            options.json.write_text(
                json.dumps({"options": vars(options), "seeds": found}, indent=1, default=str) + "\n"
            )
    table = Table("seed", "crops", "top-1", "PQ from scratch", "PQ from the pretrained backbone", box=None)
    for one in found:
        figures = (f"{one[name]:.1f}" for name in ("top1", "pq_scratch", "pq_pretrained"))
        table.add_row(str(one["seed"]), str(one["crops"]), *figures)
    Console().print(table)


if __name__ == "__main__":
    main()
