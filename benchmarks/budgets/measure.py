"""What everybody did with their epochs, seed by seed, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.budgets.contestants import Contestant, Run
from benchmarks.budgets.curves import FULL, Curves


@dataclass(frozen=True)
class Row:
    """What a contestant did, on average over the seeds.

    Attributes:
        contestant: its name.
        epochs_to_target: until a full training was as good as the target; all epochs where none was.
        reached: the share of the seeds in which one was.
        ratio: of random search's epochs to the target to these.
        best: the best full training at the end, percent.
        begun: how many architectures.
    """

    contestant: str
    epochs_to_target: float
    reached: float
    ratio: float
    best: float
    begun: float


def measured(curves: Curves, contestants: Mapping[str, Contestant], full: int, seeds: int) -> dict[str, Any]:
    """Return for everybody what each seed gave, as JSON can hold it.

    Args:
        curves: what is learned.
        contestants: by name; the target is the first one's, the median over the seeds of the best it has found.
        full: how many full trainings the epochs are enough for.
        seeds: how many searches of each.
    """
    runs = {
        name: [contestant(curves, full * FULL, seed) for seed in range(seeds)]
        for name, contestant in contestants.items()
    }
    target = float(np.median([run.best for run in next(iter(runs.values()))]))
    seen = {name: [_seen(run, target, full * FULL) for run in several] for name, several in runs.items()}
    return {"target": target, "full": full, "seeds": seeds, "contestants": seen}


def _seen(run: Run, target: float, limit: int) -> dict[str, float]:
    return {"epochs_to_target": run.epochs_to(target, limit), "best": run.best, "begun": run.begun}


def rows_of(found: Mapping[str, Any]) -> list[Row]:
    """Return a row for everybody, of what `measured` has returned."""
    rows: list[Row] = []
    for name, seeds in found["contestants"].items():
        needed = _mean(seeds, "epochs_to_target")
        reached = float(np.mean([seed["best"] >= found["target"] for seed in seeds]))
        ratio = (rows[0].epochs_to_target if rows else needed) / needed
        rows.append(Row(name, needed, reached, ratio, _mean(seeds, "best"), _mean(seeds, "begun")))
    return rows


def _mean(seeds: Sequence[Mapping[str, float]], name: str) -> float:
    return float(np.mean([seed[name] for seed in seeds]))
