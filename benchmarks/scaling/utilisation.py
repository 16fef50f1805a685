"""How busy one driver keeps its workers."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from autopanoptic.nas import (
    Architecture,
    BayesianOptimization,
    Choice,
    Evolution,
    RegularizedEvolution,
    Search,
    SearchSpace,
    Strategy,
)
from benchmarks.scaling.simulated import SimulatedExecutor, busy_share

SPACE = SearchSpace([Choice(f"c{index}", range(10)) for index in range(49)])
CLOCKS: dict[str, Callable[[], float]] = {"processor": time.process_time, "wall": time.perf_counter}
TRIALS_A_WORKER, FEWEST = 40, 600
MODEL_TRIALS = 640


@dataclass(frozen=True)
class Case:
    """A search whose workers are simulated.

    Attributes:
        workers: how many.
        strategy: of the search.
        seconds: the mean of the durations, which are uniform between half of it and one and a half.
        trials: of the search.
        journal: "none", "written" (without waiting for the disk) or "synced".
    """

    workers: int
    strategy: Strategy
    seconds: float
    trials: int
    journal: str = "none"


def cases() -> list[Case]:
    """Return the cases that the page shows."""
    evolution = RegularizedEvolution(100, 25)
    found = [
        Case(workers, evolution, 0.1, max(FEWEST, TRIALS_A_WORKER * workers), journal)
        for workers in (1, 8, 64, 256)
        for journal in ("none", "written", "synced")
    ]
    generations = [Case(64, Evolution(size), 0.1, TRIALS_A_WORKER * 64, "written") for size in (64, 640)]
    return [*found, *generations, Case(64, BayesianOptimization(), 10.0, MODEL_TRIALS, "written")]


def score(architecture: Architecture) -> float:
    """Return what the searches maximise; it costs next to nothing."""
    return float(sum(map(int, architecture.values())))


def uniform(case: Case) -> list[float]:
    """Return the durations of a case's evaluations, in seconds."""
    rng = random.Random(0)
    return [rng.uniform(0.5, 1.5) * case.seconds for _ in range(case.trials)]


def simulate(case: Case, clock: str, durations: Sequence[float]) -> dict[str, Any]:
    """Run a case, and return how busy its workers were and what a trial took of the driver.

    Args:
        case: the search.
        clock: "processor" for a driver that has a processor of its own, "wall" for this machine as loaded as it is.
        durations: of the evaluations, in seconds.
    """
    executor = SimulatedExecutor(case.workers, durations.__getitem__, CLOCKS[clock])
    with tempfile.TemporaryDirectory() as folder:
        journal = None if case.journal == "none" else Path(folder) / "journal.jsonl"
        search = Search(SPACE, case.strategy, score, executor=executor, journal=journal)
        unsynced = mock.patch("os.fsync", return_value=None) if case.journal == "written" else nullcontext()
        with unsynced:
            begun = CLOCKS[clock]()
            search.run(case.trials, progress=False)
            seconds = CLOCKS[clock]() - begun
    return {
        **asdict(case),
        "strategy": repr(case.strategy),
        "clock": clock,
        "busy": busy_share(executor.intervals, case.workers),
        "ms_a_trial": seconds / case.trials * 1e3,
    }
