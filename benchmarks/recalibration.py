"""Recalibrating batch norm: what it does to candidates' panoptic quality and to their order, and what it costs.

Run as ``python benchmarks/recalibration.py --run runs/NAME [--json FILE]`` on a finished run of the panoptic search.
Random candidates of its supernet are measured on nas_val with the statistics that the supernet gathered over all paths,
and with the path's own over several numbers of training batches. Changes of PQ and rank correlations are those to the
largest number; the last row takes as many other batches, and so says how much of a difference is due to the choice of
images. The seconds are those of a candidate's whole evaluation: processor time on a CPU, wall time on a GPU.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import stats

from autopanoptic.nas import Architecture, Supernet
from autopanoptic.nas.evaluation.evaluator import Unheard
from autopanoptic.panoptic.data.coco.layout import Datasets, find_splits
from autopanoptic.panoptic.data.loading.batch import Batch
from autopanoptic.panoptic.data.loading.batches import training_batches
from autopanoptic.panoptic.run.folder import load_run
from autopanoptic.panoptic.search.evaluator import PanopticEvaluator, Validation
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.batches import batches_of
from autopanoptic.panoptic.stages.machine import device_of
from autopanoptic.panoptic.stages.networks import build, network_config, network_of


def load(run: Path) -> tuple[Settings, Datasets, Supernet]:
    """Return a run's settings, data and trained supernet."""
    settings = load_run(run)
    weights = run / "supernet" / "supernet.pt"
    if not weights.exists():
        raise FileNotFoundError(f"{weights}: the run has no trained supernet; let it finish first")
    root = run / "data" if settings.data.path is None else Path(settings.data.path)
    datasets = find_splits(root).open(settings.seed, orientation=settings.data.orientation)
    network = build(network_config(settings, datasets.train.categories), settings.seed)
    network.load_state_dict(torch.load(weights, weights_only=True))
    return settings, datasets, Supernet(network.to(device_of(settings)))


def measure(evaluator: PanopticEvaluator, candidates: list[Architecture]) -> dict[str, Any]:
    """Return the PQ of each candidate in percent, and the mean seconds of an evaluation."""
    device = next(evaluator.supernet.module.parameters()).device
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    start = clock()
    found = [evaluator.evaluate(candidate, Unheard())["pq"] for candidate in candidates]
    return {"pq": found, "seconds": (clock() - start) / len(candidates)}


def compare(run: Path, count: int, sizes: list[int], seed: int) -> dict[str, Any]:
    """Return the figures of every number of batches."""
    settings, datasets, supernet = load(run)
    torch.set_num_threads(settings.machine.threads)
    divisor, most = network_of(supernet).config.image_divisor, max(sizes)
    validation = Validation(datasets.nas_val, batches_of(settings, datasets.nas_val, divisor), settings.merge)
    images = list(
        training_batches(
            datasets.train, settings.transform(), batch_size=settings.supernet.batch_size, divisor=divisor,
            seed=settings.seed + 1, stop=2 * most, labelled=False,
        )
    )  # fmt: skip
    chosen: dict[str, list[Batch] | None] = {"none": None}
    chosen |= {str(size): images[:size] for size in sorted(sizes)}
    chosen[f"{most} others"] = images[most:]
    rng = np.random.default_rng(seed)
    candidates = [supernet.space.sample(rng) for _ in range(count)]
    # The first evaluation decodes the truth and compiles the PQ kernel.
    measure(PanopticEvaluator(supernet, validation), candidates[:1])
    rows = {name: measure(PanopticEvaluator(supernet, validation, batches), candidates) for name, batches in
            chosen.items()}  # fmt: skip
    expected = np.array(rows[str(most)]["pq"])
    for row in rows.values():
        row |= agreement(np.array(row["pq"]), expected)
    return {
        "candidates": [candidate.id for candidate in candidates],
        "batch_size": settings.supernet.batch_size,
        "images": len(datasets.nas_val),
        "reference": str(most),
        "batches": rows,
    }


def agreement(found: NDArray[np.float64], expected: NDArray[np.float64]) -> dict[str, float | None]:
    """Return how well two measurements of the same candidates agree; no correlation where one is constant."""
    constant = len(set(found.tolist())) == 1 or len(set(expected.tolist())) == 1
    return {
        "mean_pq": float(found.mean()),
        "mean_change": float(np.abs(found - expected).mean()),
        "spearman": None if constant else float(stats.spearmanr(found, expected).statistic),
        "kendall": None if constant else float(stats.kendalltau(found, expected).statistic),
    }


def show(figures: dict[str, Any]) -> None:
    """Print the figures as a table."""
    title = f"{len(figures['candidates'])} candidates on {figures['images']} images, batches of {figures['batch_size']}"
    table = Table(title=f"{title}; compared with {figures['reference']} batches")
    for column in ("batches", "mean PQ", "min", "max", "change", "Spearman", "Kendall", "s"):
        table.add_column(column, justify="left" if column == "batches" else "right")
    for name, row in figures["batches"].items():
        ranks = ("-" if row[key] is None else f"{row[key]:.3f}" for key in ("spearman", "kendall"))
        values = (row["mean_pq"], min(row["pq"]), max(row["pq"]), row["mean_change"])
        table.add_row(name, *(f"{value:.2f}" for value in values), *ranks, f"{row['seconds']:.2f}")
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished run")
    parser.add_argument("--candidates", type=int, default=30, help="random paths of the supernet, at least 2")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8], help="numbers of batches")
    parser.add_argument("--seed", type=int, default=0, help="decides the candidates")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    if options.candidates < 2 or min(options.batches) < 1:
        parser.error("at least 2 candidates and 1 batch are needed")
    figures = compare(options.run, options.candidates, options.batches, options.seed)
    show(figures)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
