"""Do the supernet's paths rank alike on other images, and with other batches for their batch norms?

For architectures over the whole range of costs of a finished run's space, Kendall's tau of their panoptic quality

- between the two halves of nas_val (every other image), with the same batches for their batch norms;
- between two sets of batches for their batch norms, on all of nas_val;
- with --val, between nas_val and val.

In brackets: 95% of 1,000 bootstrap draws of the architectures. A tau that few architectures or few images give is low
even if the order of the networks is not by chance, so the standard error of one network's PQ is printed beside it.

Run as ``python benchmarks/ranking.py --run runs/NAME [--architectures 40] [--images N] [--val] [--json FILE]``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from autopanoptic.nas import Architecture, SearchSpace, Supernet
from autopanoptic.nas.supernet.batch_norm import recalibrated
from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.model.weights import load_weights
from autopanoptic.panoptic.quality.bootstrap import bootstrap, value_of
from autopanoptic.panoptic.quality.images import ImageCounts
from autopanoptic.panoptic.run.folder import load_run
from autopanoptic.panoptic.search.evaluator import run_norms
from autopanoptic.panoptic.stages.batches import recalibration_batches, validation_of
from autopanoptic.panoptic.stages.costs import costs, within_family
from autopanoptic.panoptic.stages.networks import build, network_config
from autopanoptic.panoptic.stages.prepare import SUPERNET_FOLDER, prepare
from autopanoptic.panoptic.stages.supernet import SUPERNET
from benchmarks.rank_correlations import correlation, kendall_tau

DRAWN = 4
"""Random architectures for each that is taken, so that the cheapest and the dearest are rare ones."""


class Ranking:
    """A run's supernet, its data, and what its paths find.

    Args:
        folder: Of the run.
        images: Of nas_val and val that are used; None for all.
    """

    def __init__(self, folder: Path, images: int | None) -> None:
        self.settings = load_run(folder)
        self.datasets = prepare(self.settings, folder, Console(stderr=True))
        self.images = images
        network = build(network_config(self.settings, self.datasets.train.categories), self.settings.seed)
        load_weights(network, folder / SUPERNET_FOLDER / SUPERNET)
        self.supernet, self.network = Supernet(network), network
        self.gflops = costs(self.settings, self.datasets)["gflops"]

    def architectures(self, count: int) -> list[Architecture]:
        """Return architectures as the supernet was trained for, whose costs are spread evenly."""
        space = within_family(self.settings, self.datasets, self.supernet.space)
        return spread(space, self.gflops, count, self.settings.seed)

    def counts(self, architectures: Sequence[Architecture], dataset: CocoPanoptic, other: bool) -> list[ImageCounts]:
        """Measure paths, with the run's batches for their batch norms or with others."""
        some = dataset if self.images is None else dataset.subset(range(min(self.images, len(dataset))))
        divisor = self.network.config.image_divisor
        validation = validation_of(self.settings, some, divisor)
        seeded = replace(self.settings, seed=self.settings.seed + 1000 * other)
        batches = recalibration_batches(seeded, self.datasets.train, divisor) or []
        found = []
        for architecture in track(architectures, "measuring", console=Console(stderr=True)):
            self.supernet.activate(architecture)
            with recalibrated(self.supernet, batches, run_norms), torch.no_grad():
                found.append(validation.quality(self.network).images)
        return found


def spread(space: SearchSpace, cost: Callable[[Architecture], float], count: int, seed: int) -> list[Architecture]:
    """Return architectures of a space whose costs are spread evenly, the cheapest first."""
    rng = np.random.default_rng(seed)
    drawn = list(dict.fromkeys(space.sample(rng) for _ in range(DRAWN * count)))
    prices = np.array([cost(architecture) for architecture in drawn])
    chosen: list[int] = []
    for wanted in np.linspace(prices.min(), prices.max(), count):
        free = [index for index in np.argsort(abs(prices - wanted)) if index not in chosen]
        chosen.extend(free[:1])
    return [drawn[index] for index in sorted(chosen, key=lambda index: float(prices[index]))]


def tau(a: Sequence[float], b: Sequence[float]) -> dict[str, float]:
    """Return Kendall's tau-b of two rankings with a percentile interval over the ranked things."""
    value, low, high = correlation(kendall_tau, a, b)
    return {"tau": value, "low": low, "high": high}


def measure(ranking: Ranking, count: int, *, val: bool) -> dict[str, Any]:
    """Return all figures."""
    architectures = ranking.architectures(count)
    own = ranking.counts(architectures, ranking.datasets.nas_val, other=False)
    other = ranking.counts(architectures, ranking.datasets.nas_val, other=True)
    whole = [value_of(counts) for counts in own]
    taus = {
        "halves of nas_val": tau(*([value_of(counts[start::2]) for counts in own] for start in (0, 1))),
        "batches for batch norms": tau(whole, [value_of(counts) for counts in other]),
    }
    if val:
        measured = ranking.counts(architectures, ranking.datasets.val, other=False)
        taus["nas_val and val"] = tau(whole, [value_of(counts) for counts in measured])
    prices = [ranking.gflops(architecture) for architecture in architectures]
    return {
        "architectures": len(architectures),
        "images": len(own[0]),
        "gflops": [min(prices), max(prices)],
        "pq": [min(whole), max(whole)],
        "standard_error": median(bootstrap(counts).standard_error for counts in own),
        "taus": taus,
        "points": [{"gflops": price, "pq": value} for price, value in zip(prices, whole, strict=True)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished run")
    parser.add_argument("--architectures", type=int, default=40)
    parser.add_argument("--images", type=int)
    parser.add_argument("--val", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    figures = measure(Ranking(given.run, given.images), given.architectures, val=given.val)
    low, high = figures["gflops"]
    print(f"{figures['architectures']} architectures of {low:.3g} to {high:.3g} GFLOPs on {figures['images']} images")
    least, most = figures["pq"]
    print(f"PQ {least:.1f} to {most:.1f}, standard error of one {figures['standard_error']:.2f}")
    for name, found in figures["taus"].items():
        print(f"tau, {name}: {found['tau']:.2f} [{found['low']:.2f}, {found['high']:.2f}]")
    if given.json is not None:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
