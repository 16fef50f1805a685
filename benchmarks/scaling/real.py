"""How busy workers are that exist, and what Ray takes without this library."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from autopanoptic.nas import Architecture, ProcessExecutor, RandomSearch, RayExecutor, Search
from autopanoptic.nas.executors.base import Executor
from benchmarks.scaling.simulated import Interval, busy_share
from benchmarks.scaling.utilisation import SPACE, score

SECONDS = 0.1
"""Of a trial, which sleeps."""
CPUS = 0.1
"""Of a worker on Ray: it sleeps, so there may be more of them than processors."""


def sleeps(architecture: Architecture) -> dict[str, float]:
    """Take a tenth of a second, and say when."""
    begun = time.monotonic()
    time.sleep(SECONDS)
    return {"value": score(architecture), "begun": begun, "ended": time.monotonic()}


def in_processes(workers: int, trials: int) -> dict[str, Any]:
    """Return how busy worker processes of this machine are, and what a trial takes of the driver."""
    return _search("ProcessExecutor", ProcessExecutor(workers), trials)


def on_ray(workers: int, trials: int) -> Iterator[dict[str, Any]]:
    """Yield the same of workers on Ray: of this library's, and of actors that a loop of Ray's own functions feeds.

    Both run on one Ray, whose start is not counted.
    """
    executor = RayExecutor("local", workers=workers, resources={"num_cpus": CPUS})
    with executor.kept():
        _search("", executor, workers)
        yield _search("RayExecutor", executor, trials)
        yield _bare_ray(workers, trials)


def _search(name: str, executor: Executor, trials: int) -> dict[str, Any]:
    work = time.process_time()
    history = Search(SPACE, RandomSearch(), sleeps, executor=executor).run(trials, progress=False).history
    work = time.process_time() - work
    return _row(name, executor.capacity, [(t.metrics["begun"], t.metrics["ended"]) for t in history], work)


class _Sleeper:
    def sleep(self, options: dict[str, Any]) -> dict[str, float]:
        return sleeps(Architecture(options))


def _bare_ray(workers: int, trials: int) -> dict[str, Any]:
    """Give the same tasks to actors, each the next as soon as ``ray.wait`` says that it is free."""
    import ray

    tasks = [SPACE.sample(np.random.default_rng([0, number])).to_json() for number in range(trials)]
    work = time.process_time()
    sleeper: Any = ray.remote(_Sleeper)
    actors = [sleeper.options(num_cpus=CPUS).remote() for _ in range(workers)]
    under_way: dict[Any, Any] = {actor.sleep.remote(tasks.pop()): actor for actor in actors}
    found: list[dict[str, float]] = []
    while under_way:
        (ready, *_), _ = ray.wait(list(under_way))
        found.append(ray.get(ready))
        actor = under_way.pop(ready)
        if tasks:
            under_way[actor.sleep.remote(tasks.pop())] = actor
    work = time.process_time() - work
    for actor in actors:
        ray.kill(actor)
    return _row("Ray alone: `ray.wait` and actors", workers, [(one["begun"], one["ended"]) for one in found], work)


def _row(name: str, workers: int, intervals: Sequence[Interval], work: float) -> dict[str, Any]:
    trials = len(intervals)
    busy = busy_share(list(intervals), workers)
    return {
        "executor": name,
        "workers": workers,
        "trials": trials,
        "busy": busy,
        "idle_ms": SECONDS * (1 / busy - 1) * 1e3,
        "driver_ms": work / trials * 1e3,
        "median_ms": statistics.median(end - begin for begin, end in intervals) * 1e3,
    }
