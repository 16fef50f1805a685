"""Where a single driver ends: thousands of simulated workers, with delays drawn from a log."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autopanoptic.nas import RegularizedEvolution, Result
from benchmarks.scaling.utilisation import Case, simulate

QUANTILES = 101
TRIALS_A_WORKER = 20
"""So many that the beginning, where all wait for a first trial, and the end lie in the tenths that do not count."""
MEANS = (0.3, 1.0, 3.0, 10.0)
"""Seconds of a mean evaluation."""


def delays_of_journal(path: Path) -> list[float]:
    """Return the seconds of all trials that a journal holds as completed."""
    return [trial.seconds for trial in Result.from_journal(path).history.completed]


def delays_of_nasbench201(path: Path) -> list[float]:
    """Return the seconds of training of every architecture of a table of NAS-Bench-201 (12 epochs, CIFAR-10)."""
    with np.load(path) as table:
        return [float(seconds) for seconds in table["cost12_s_c10valid"]]


def write_quantiles(delays: Sequence[float], source: str, path: Path) -> None:
    """Keep what the simulation needs of a log: its quantiles, in seconds."""
    values = np.quantile(delays, np.linspace(0, 1, QUANTILES)).round(3).tolist()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"source": source, "delays": len(delays), "quantiles": values}) + "\n")


def simulate_many(
    quantiles: Sequence[float], mean: float, workers: int = 4096, a_worker: int = TRIALS_A_WORKER
) -> dict[str, Any]:
    """Run an evolution with so many workers, and return how busy they were.

    Args:
        quantiles: of the delays, evenly spaced.
        mean: seconds that an evaluation takes on average; the delays are scaled to it.
        workers: how many.
        a_worker: trials for each, on average.
    """
    rng, trials = random.Random(0), workers * a_worker
    drawn = np.interp([rng.random() for _ in range(trials)], np.linspace(0, 1, len(quantiles)), quantiles)
    durations = (drawn * mean / np.mean(drawn)).tolist()
    case = Case(workers, RegularizedEvolution(1000, 50), mean, trials, "written")
    found = simulate(case, "processor", durations)
    return {**found, "keeps_busy": mean / found["ms_a_trial"] * 1e3}
