"""Times and memory of what a search does beside its evaluations, with many trials and many reports of one trial.

Run as ``python benchmarks/scale.py [--trials 100000] [--evolution 20000] [--reports 16000]``; a minute on one core.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

from autopanoptic.nas import (
    Architecture,
    Choice,
    Evolution,
    History,
    Objective,
    Racing,
    RandomSearch,
    Result,
    Search,
    SearchSpace,
    SuccessiveHalving,
    Trial,
    TrialState,
)

MEGABYTE = 2**20
SPACE = SearchSpace([Choice(f"c{index}", range(10)) for index in range(12)])


def history_of(trials: int, objectives: int) -> History:
    names = "abc"[:objectives]
    history = History([Objective(name) for name in names])
    for number, row in enumerate(np.random.default_rng(0).normal(size=(trials, objectives)).tolist()):
        architecture = Architecture({"n": number})
        history.add(Trial(number, architecture))
        history.update(
            Trial(number, architecture, TrialState.COMPLETED, dict(zip(names, row, strict=True)), seconds=1.0)
        )
    return history


def timed(name: str, work: Callable[[], Any]) -> None:
    start = time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1] / MEGABYTE
    tracemalloc.stop()
    print(f"{name:50} {seconds:8.2f} s {peak:8.0f} MB", flush=True)


def rankings(trials: int) -> None:
    space = SearchSpace([Choice("n", range(trials))])
    for objectives in (1, 2, 3):
        history = history_of(trials, objectives)
        timed(f"pareto(), {objectives} objectives, {trials:,} trials", history.pareto)
        timed(f"ranked(), {objectives} objectives, {trials:,} trials", history.ranked)
        timed(f"to_json(), {objectives} objectives, {trials:,} trials", Result(space, history).to_json)


def two_sums(architecture: Architecture) -> dict[str, float]:
    options = [float(option) for option in architecture.values()]
    return {"a": sum(options), "b": sum(value * (9 - value) for value in options) - options[0] * options[1]}


def evolution(trials: int) -> None:
    search = Search(SPACE, Evolution(population=50), two_sums, objectives={"a": "max", "b": "max"})
    before = time.perf_counter()
    for until in range(trials // 10, trials + 1, trials // 10):
        search.run(until)
        now = time.perf_counter()
        print(
            f"Evolution, 2 objectives, up to trial {until:6,} {(now - before) / (trials // 10) * 1e3:8.2f} ms a trial"
        )
        before = now


def reports(count: int) -> None:
    def reporting(_: Architecture, report: Callable[..., None]) -> float:
        for step in range(1, count + 1):
            report(step, {"value": 50 + (step % 7) / step})
        return 50.0

    rules = [None, SuccessiveHalving(), Racing(count), Racing(count, bound="betting", low=0, high=100)]
    for rule in rules:
        start = time.perf_counter()
        Search(SPACE, RandomSearch(), reporting, stopper=rule).run(1)
        print(f"{count:,} reports, {rule!r:70} {time.perf_counter() - start:8.2f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100_000, help="in fronts, rankings and JSON")
    parser.add_argument("--evolution", type=int, default=20_000, help="trials of Evolution, at least 10")
    parser.add_argument("--reports", type=int, default=16_000, help="of one trial")
    options = parser.parse_args()
    rankings(options.trials)
    evolution(options.evolution)
    reports(options.reports)


if __name__ == "__main__":
    main()
