"""How long worker processes take to start: from ``start()`` until each has answered one trial.

Run as ``python benchmarks/executors.py [--workers 8] [--busy 2] [--repeats 3] [--json FILE]``. The evaluator needs
torch, as most do. ``--busy`` processes keep as many cores busy meanwhile: workers are often started on a machine that
other work shares. Every run is given a fresh executor.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console

from autopanoptic.nas import Architecture, FunctionEvaluator, ProcessExecutor


@dataclass(frozen=True)
class Measured:
    """Seconds until all workers have answered, and seconds of work (of all processes on all cores) until they ended."""

    seconds: float
    cpu_seconds: float


def evaluate(architecture: Architecture) -> dict[str, float]:
    time.sleep(0.05)  # none answers twice before the others have begun
    return {"value": float(torch.ones(3).sum()), "pid": float(os.getpid())}


def measure(workers: int) -> Measured:
    executor = ProcessExecutor(workers)
    begun, before = time.perf_counter(), _work_of_children()
    executor.start(FunctionEvaluator(evaluate), lambda *_: False)
    try:
        for number in range(workers):
            executor.submit(number, Architecture({"number": number}))
        outcomes = [executor.wait() for _ in range(workers)]
        seconds = time.perf_counter() - begun
    finally:
        executor.stop()
    pids = {outcome.metrics["pid"] for outcome in outcomes if outcome is not None and outcome.metrics is not None}
    if len(pids) != workers:
        raise RuntimeError(f"{len(pids)} of {workers} workers answered: {outcomes}")
    return Measured(seconds, _work_of_children() - before)


def _work_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@contextmanager
def busy_cores(count: int) -> Iterator[None]:
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--busy", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with busy_cores(options.busy):
        found = [measure(options.workers) for _ in range(options.repeats)]
    seconds, work = [one.seconds for one in found], [one.cpu_seconds for one in found]
    Console().print(
        f"{options.workers} workers on {os.cpu_count()} cores, {options.busy} of them kept busy: "
        f"{statistics.median(seconds):.1f} s to start (of {[round(one, 1) for one in seconds]}), "
        f"{statistics.median(work):.1f} s of work"
    )
    if options.json:
        options.json.write_text(
            json.dumps({**vars(options), "json": None, "runs": [asdict(one) for one in found]}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
