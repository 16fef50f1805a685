"""How should the elastic supernet of the scenes be trained? Its paths' panoptic quality after about the same computing.

Ways to train it, each a few keys of the config:

- largest-first: the largest network, then random paths; as the scenes ship.
- random: random paths from the beginning.
- sandwich: the largest path, the smallest and a random one on each batch.
- all-blocks: as largest-first, with a choice of each backbone block's operator too.

Measured on nas_val are the hand-made family, from the smallest to the largest, and random architectures between its
second smallest and its second largest, always the same ones. Seconds are those of the training, with the processes of
the config; only ways that ran on an idle machine compare.

Run as ``python -m benchmarks.supernet_training --to FOLDER [--way NAME] [--seed N] [--drawn 8]``; interrupted, the same
command goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from autopanoptic.nas import Architecture, SearchSpace
from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.search.strategies import family
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.costs import costs
from autopanoptic.panoptic.stages.prepare import SUPERNET_FOLDER, prepare
from autopanoptic.panoptic.stages.search import Candidates
from autopanoptic.panoptic.stages.supernet import train_supernet

WAYS: Mapping[str, Mapping[str, Any]] = {
    "largest-first": {},
    "random": {"largest": None, "supernet.passes": 1284},
    "sandwich": {"largest": None, "sandwich": True, "random_paths": 1, "supernet.passes": 1284},
    "all-blocks": {"network.elastic_blocks": ["shuffle3", "shuffle5", "shuffle7", "xception3"]},
}
"""Changes to the scenes' config."""
DRAWS = 12345
"""Seed of the random architectures."""


def measure(way: str, seed: int, folder: Path, drawn: int) -> dict[str, Any]:
    """Train a supernet in one way and measure its paths."""
    settings = load_config("scenes", {**WAYS[way], "seed": seed})
    console = Console(stderr=True)
    datasets = prepare(settings, folder, console)
    start = time.monotonic()
    supernet = train_supernet(settings, datasets, folder / SUPERNET_FOLDER, progress=True)
    seconds = time.monotonic() - start
    candidates = Candidates(settings, supernet, datasets, folder, progress=False)
    members = family(supernet.space)
    others = between(settings, datasets, supernet.space, drawn)
    found = candidates.family([*members, *others]).history
    values = [
        (trial.metrics["gflops"], trial.metrics["pq"]) for trial in map(found.trial_of, [*members, *others]) if trial
    ]
    return {
        "way": way, "seed": seed, "seconds": seconds, "family": values[: len(members)], "drawn": values[len(members) :]
    }  # fmt: skip


def between(settings: Settings, datasets: Datasets, space: SearchSpace, count: int) -> list[Architecture]:
    """Return random architectures that cost as much as the middle of the family."""
    gflops = costs(settings, datasets)["gflops"]
    prices = sorted(map(gflops, family(space)))
    rng = np.random.default_rng(DRAWS)
    found: list[Architecture] = []
    while len(found) < count:
        one = space.sample(rng)
        if prices[1] <= gflops(one) <= prices[-2]:
            found.append(one)
    return found


def table(results: list[dict[str, Any]]) -> Table:
    """Return a row for each training."""
    made = Table(title="PQ on nas_val by paths of the supernet, %")
    for name in ("way", "seed", "seconds", "family", "mean of the drawn", "their best"):
        made.add_column(name, justify="left" if name == "way" else "right")
    for one in results:
        drawn = [value for _, value in one["drawn"]]
        made.add_row(
            one["way"],
            str(one["seed"]),
            f"{one['seconds']:.0f}",
            " ".join(f"{value:.1f}" for _, value in one["family"]),
            f"{mean(drawn):.1f}",
            f"{max(drawn):.1f}",
        )
    return made


def main() -> None:
    """Measure what is not measured yet, and print all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, required=True, help="a folder for the trainings and results.json")
    parser.add_argument("--way", action="append", choices=WAYS, help="one of the ways; several times for several")
    parser.add_argument("--seed", action="append", type=int, help="several times for several; 100 by default")
    parser.add_argument("--drawn", type=int, default=8, help="random architectures")
    asked = parser.parse_args()
    asked.to.mkdir(parents=True, exist_ok=True)
    path = asked.to / "results.json"
    results: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    for seed in asked.seed or [100]:
        for way in asked.way or WAYS:
            if not any((one["way"], one["seed"]) == (way, seed) for one in results):
                results.append(measure(way, seed, asked.to / f"{way}-{seed}", asked.drawn))
                path.write_text(json.dumps(results, indent=1) + "\n")
    Console().print(table(results))


if __name__ == "__main__":
    main()
