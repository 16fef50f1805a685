"""What pretraining on crops of the scenes gains there: PQ of the hand-made network from scratch, and from its backbone.

Run as ``python -m benchmarks.pretraining [--seeds 0 1 2] [--work DIR]``. For each seed scenes are generated and cut
into a classification set; the backbone of the hand-made network learns to classify that; then the network is trained
on the scenes: from scratch, from the pretrained backbone with the same passes, and from scratch with more passes, about
as many as the time of the pretraining is enough for. All by the functions behind ``pretrain`` and a run's stages, on
the CPU.

Each finished training is in its seed's file of benchmarks/results/pretraining at once. Interrupted, the same command
goes on, with ``--work`` also in the midst of a training; seeds may be given to several commands at the same time.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from autopanoptic.nas import Architecture, Supernet
from autopanoptic.panoptic.compare.statistics import mean_of
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
from benchmarks.strategies.results import surroundings

FOLDER = Path(__file__).parent / "results" / "pretraining"
"""Of a file for each seed."""
PARTS = "pretraining", "scratch", "pretrained", "longer"
"""What is trained with each seed."""
COMPARED = PARTS[:3]
"""What a seed's pair of trainings needs."""
Row = dict[str, Any]
Rows = dict[str, Row]
"""By the part."""


@dataclass(frozen=True)
class Sizes:
    """How much is trained and measured.

    Attributes:
        images: Scenes to train on.
        val: Scenes to measure on.
        pretraining_passes: Of 32 crops each.
        passes: Of the panoptic trainings.
        longer_passes: Of the one that is to take as long as pretraining and training together.
    """

    images: int
    val: int
    pretraining_passes: int
    passes: int
    longer_passes: int


class Seed:
    """The trainings with one seed.

    Args:
        seed: Of the scenes, the crops and the trainings.
        sizes: How much is trained.
        folder: Where all of it lies, and where it goes on from.
    """

    def __init__(self, seed: int, sizes: Sizes, folder: Path) -> None:
        self.folder, self.sizes = folder, sizes
        counts = {"train": sizes.images, "nas_val": 1, "val": sizes.val}
        self.datasets: Datasets = find_splits(write_scenes(folder / "scenes", counts, seed=seed)).open(seed)
        base = {"search.space": "auto-panoptic", "machine.device": "cpu", "seed": seed, "init": "scratch"}
        self.settings = load_config("scenes", base)
        space = Supernet(build(network_config(self.settings, self.datasets.train.categories), seed)).space
        self.architecture: Architecture = hand_made(space)

    def row(self, part: str) -> Row:
        """Train one of `PARTS`; ``pretrained`` comes after ``pretraining``."""
        if part == "pretraining":
            return self._pretraining()
        passes = self.sizes.longer_passes if part == "longer" else self.sizes.passes
        settings = self.settings
        if part == "pretrained":
            backbone = str(self.folder / "pretraining" / "backbone.pt")
            settings = change_settings(settings, {"init": backbone, "init_part": "backbone"})
        return {"passes": passes, "pq": self._quality(settings, passes, self.folder / part)}

    def _pretraining(self) -> Row:
        images = open_images(write_crops(self.datasets, self.folder / "crops", seed=self.settings.seed))
        recipe = replace(PretrainingRecipe.small(), passes=self.sizes.pretraining_passes)
        found = pretrain(self.settings, self.architecture, images, self.folder / "pretraining", recipe)
        return {
            "passes": recipe.passes,
            "crops": len(images.train.samples),
            "classes": found.classes,
            "top1": found.accuracies[0].top1,
        }

    def _quality(self, settings: Settings, passes: int, folder: Path) -> float:
        config = network_config(settings, self.datasets.train.categories, searched=True)
        network = started(settings, config, self.architecture, Path())
        recipe = replace(settings.retrain, passes=passes)
        training = Training(
            self.datasets.train, settings.transform(recipe), recipe, hardware=hardware(settings, progress=False),
            seed=settings.seed,
        )  # fmt: skip
        train(network, training, folder)
        return float(validation_of(settings, self.datasets.val, config.image_divisor)(network)["pq"])


def measure(number: int, sizes: Sizes, work: Path, path: Path) -> Rows:
    """Train with a seed what its file has no row of yet, and return all rows; each is kept as soon as it is known.

    Raises:
        ValueError: If the file holds trainings of other sizes.
    """
    rows = read(path, sizes)
    missing = [part for part in PARTS if part not in rows]
    seed = Seed(number, sizes, work) if missing else None
    for part in missing:
        assert seed is not None
        rows[part] = timed(partial(seed.row, part), work / f"{part}.seconds")
        print(json.dumps({"seed": number, "part": part, **rows[part]}), flush=True)
        write(path, sizes, rows)
    return rows


def timed(work: Callable[[], Row], file: Path) -> Row:
    """Return a row with its CPU seconds, those of interrupted attempts included, which a file keeps."""
    before = float(file.read_text()) if file.exists() else 0.0
    began = time.process_time()
    try:
        row = work()
    finally:
        seconds = before + time.process_time() - began
        file.write_text(f"{seconds}\n")
    return {**row, "cpu_seconds": round(seconds, 1)}


def read(path: Path, sizes: Sizes) -> Rows:
    """Return the rows of a seed's file, none where there is no file yet."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text())
    if found["sizes"] != vars(sizes):
        raise ValueError(f"{path} holds trainings of {found['sizes']}, not of {vars(sizes)}: name another --folder")
    rows: Rows = found["rows"]
    return rows


def write(path: Path, sizes: Sizes, rows: Rows) -> None:
    """Write a seed's rows with what they were measured on, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {"sizes": vars(sizes), "torch": torch.__version__, "machine": surroundings()["machine"], "rows": rows}
    new = path.with_suffix(".partial")
    new.write_text(json.dumps(found, indent=1) + "\n")
    new.replace(path)


def kept(folder: Path) -> list[dict[str, Any]]:
    """Return what the files of a folder hold, by their seeds.

    Raises:
        ValueError: If they are of different sizes.
    """
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("seed-*.json"))]
    if any(one["sizes"] != found[0]["sizes"] for one in found):
        raise ValueError(f"{folder} holds trainings of different sizes: keep them in a folder each")
    return found


def summary(rows: Sequence[Mapping[str, Row]]) -> list[tuple[str, str, str, str]]:
    """Return a line for each training: its name, PQ, what it has over the one from scratch, and CPU seconds.

    All are means over the seeds whose two trainings of the same passes have ended; the longer one is left out until all
    of them have it. Differences are paired, with 95% intervals by Student's t.
    """
    ended = [one for one in rows if set(COMPARED) <= set(one)]
    if not ended:
        raise ValueError("no seed has ended yet: run the benchmark again, and it goes on")
    lines = []
    names = {"scratch": "from scratch", "pretrained": "pretrained", "longer": "from scratch, longer"}
    for part, name in names.items():
        if not all(part in one for one in ended):
            continue
        gain = mean_of([one[part]["pq"] - one["scratch"]["pq"] for one in ended])
        seconds = [one[part]["cpu_seconds"] for one in ended]
        if part == "pretrained":
            seconds = [sum(pair) for pair in zip(seconds, _each(ended, "pretraining", "cpu_seconds"), strict=True)]
        interval = "" if gain.half is None else f" ± {gain.half:.1f}"
        pq = mean_of(_each(ended, part, "pq")).value
        over = "" if part == "scratch" else f"{gain.value:+.1f}{interval}"
        lines.append((name, f"{pq:.1f}", over, f"{mean_of(seconds).value:.0f}"))
    return lines


def lines(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the guide's rows of what is kept, with the passes of each training."""
    sizes = found[0]["sizes"]
    passes = {
        "from scratch": f"{sizes['passes']}",
        "pretrained": f"{sizes['passes']}, after {sizes['pretraining_passes']} on crops",
        "from scratch, longer": f"{sizes['longer_passes']}",
    }
    return [
        f"| {name} | {passes[name]} | {' | '.join(more)} |" for name, *more in summary([one["rows"] for one in found])
    ]


def _each(ended: Sequence[Mapping[str, Row]], part: str, key: str) -> list[float]:
    return [one[part][key] for one in ended]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="which")
    parser.add_argument("--images", type=int, default=400, help="scenes to train on")
    parser.add_argument("--val", type=int, default=200, help="scenes to measure on")
    parser.add_argument("--pretraining-passes", type=int, default=400, help="of 32 crops each")
    parser.add_argument("--passes", type=int, default=180, help="of the panoptic trainings")
    parser.add_argument("--longer-passes", type=int, default=330, help="of the one that takes as long as both")
    parser.add_argument("--work", type=Path, help="where trainings are kept; by default nowhere")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of the results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    sizes = Sizes(options.images, options.val, options.pretraining_passes, options.passes, options.longer_passes)
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        for seed in options.seeds:
            measure(seed, sizes, work / f"seed-{seed}", options.folder / f"seed-{seed}.json")
    table = Table("training", "PQ", "over the one from scratch", "CPU seconds", box=None)
    for line in summary([one["rows"] for one in kept(options.folder)]):
        table.add_row(*line)
    Console().print(table)


if __name__ == "__main__":
    main()
