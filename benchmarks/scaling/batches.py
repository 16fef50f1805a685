"""What ``ask(k)`` takes: many proposals at once, beside one."""

from __future__ import annotations

import statistics
import time
from typing import Any

from autopanoptic.nas import BayesianOptimization, Evolution, RegularizedEvolution, Search, Strategy
from benchmarks.scaling.utilisation import SPACE, score

BATCH = 64
TOLD = 256
"""Trials behind a search when it is asked."""
ROUNDS = 5


def strategies() -> list[Strategy]:
    """Return those that the page shows."""
    return [BayesianOptimization(), RegularizedEvolution(100, 25), Evolution(64)]


def ask_times(strategy: Strategy, told: int = TOLD, batch: int = BATCH, rounds: int = ROUNDS) -> dict[str, Any]:
    """Return what one proposal takes and what a batch does, in milliseconds of the processor, each written down.

    Args:
        strategy: proposes; of each round anew, with a seed of its own.
        told: how many trials it has learned from.
        batch: how many are asked for at once.
        rounds: of which the medians are taken.
    """
    one = [_asked(strategy, told, 1, seed) for seed in range(rounds)]
    several = [_asked(strategy, told, batch, seed) for seed in range(rounds)]
    return {
        "strategy": repr(strategy),
        "told": told,
        "batch": batch,
        "one_ms": statistics.median(one),
        "batch_ms": statistics.median(several),
    }


def _asked(strategy: Strategy, told: int, count: int, seed: int) -> float:
    search = Search(SPACE, strategy, seed=seed)
    while (left := told - len(search.history)) > 0:
        for trial in search.ask(min(left, BATCH)):
            search.tell(trial, {"value": score(trial.architecture)})
    begun = time.process_time()
    asked = len(search.ask(count))
    assert asked == count
    return (time.process_time() - begun) * 1e3
