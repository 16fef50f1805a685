"""Whether each model can learn two real images by heart: it is trained on them alone, and measured on the same.

Run as ``python -m benchmarks.memorised --data DIR [--models NAME ...] [--passes N] [--json FILE]``, with a folder of
one set of images in COCO panoptic format, such as the samples of panopticapi. Each model has the small searched
backbone of the config ``memorise`` with the operators of the hand-made network and fixed widths, and is trained from
scratch. A model that falls short of a PQ of 75 has a fault somewhere: in a loss, in a gradient, or in how its map is
made.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from autopanoptic.nas import Supernet
from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.configs.models import MODELS
from autopanoptic.panoptic.data.coco.layout import find_splits
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.stages.batches import validation_of
from autopanoptic.panoptic.stages.networks import build, network_config
from autopanoptic.panoptic.stages.retrain import retrain

COMMON: dict[str, Any] = {
    "search.space": "auto-panoptic",
    "init": "scratch",
    # Images of two aspect ratios never share a batch, and one of the same image twice teaches no more than it once.
    "retrain.batch_size": 1,
    "retrain.passes": 600,
    "machine.device": "cpu",
    "machine.trainings": 1,
    "machine.threads": 1,
}


def memorised(
    data: Path, model: str, folder: Path, changes: Mapping[str, Any], *, on_pass: Callable[[int], None] | None = None
) -> dict[str, float]:
    """Train a model on the images of a folder, and return its metrics on them, with passes and CPU seconds.

    Args:
        data: The folder.
        model: Its name.
        folder: Where the training goes, and where it goes on from.
        changes: Of the config ``memorise``, by their keys.
        on_pass: Called with the number of passes done, after each.
    """
    settings = load_config("memorise", {"data.path": str(data), "network.model": model, **COMMON, **changes})
    datasets = find_splits(data).open(settings.seed)
    architecture = hand_made(Supernet(build(network_config(settings, datasets.train.categories), settings.seed)).space)
    began = time.process_time()
    network = retrain(settings, architecture, datasets, folder / model, folder / "supernet", on_pass=on_pass)
    seconds = time.process_time() - began
    found = validation_of(settings, datasets.val, network.config.image_divisor).quality(network.eval()).metrics()
    return {**found, "passes": settings.retrain.passes, "cpu_seconds": round(seconds)}


def table_of(found: Mapping[str, Mapping[str, float]]) -> Table:
    """A row for each model."""
    table = Table("model", "PQ", "PQ things", "PQ stuff", "passes", "CPU seconds", box=None)
    for model, one in found.items():
        figures = (f"{one[name]:.1f}" for name in ("pq", "pq_things", "pq_stuff"))
        table.add_row(model, *figures, f"{one['passes']:.0f}", f"{one['cpu_seconds']:.0f}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of one set of images in COCO panoptic format")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="which; by default all")
    parser.add_argument("--passes", type=int, help="of each training; by default those of the config")
    parser.add_argument("--folder", type=Path, help="where the networks are kept; by default nowhere")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    changes = {} if options.passes is None else {"retrain.passes": options.passes}
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for model in options.models:
            found[model] = memorised(options.data, model, options.folder or Path(temporary), changes)
            print(f"{model}: PQ {found[model]['pq']:.1f}", flush=True)
            if options.json is not None:
                options.json.write_text(json.dumps(found, indent=1) + "\n")
    Console().print(table_of(found))


if __name__ == "__main__":
    main()
