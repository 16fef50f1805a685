"""Several trainings side by side, in a process each."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess

from autopanoptic.nas.interruption import terminated_as_interrupted
from benchmarks.operators.training import Plan, run

Job = tuple[str, int]
"""A network's name and a seed."""


class TrainingError(RuntimeError):
    """A training has failed; its traceback stands above."""


def run_all(plan: Plan, jobs: Sequence[Job], at_a_time: int, nice: int = 0) -> None:
    """Train what has no result yet.

    Ctrl-C, a request to end (SIGTERM), or a training that fails ends those under way; called again, they go on from
    their last checkpoints.

    Raises:
        TrainingError: If a training fails.
    """
    waiting = [job for job in jobs if plan.result(*job) is None]
    plan.datasets()  # so that no two processes write them
    context = multiprocessing.get_context("spawn")
    running: dict[SpawnProcess, Job] = {}
    with terminated_as_interrupted():  # what ends the parent alone would leave its workers behind
        try:
            while waiting or running:
                while waiting and len(running) < at_a_time:
                    job = waiting.pop(0)
                    process = context.Process(target=_work, args=(plan, job, nice))
                    process.start()
                    running[process] = job
                ended = wait([process.sentinel for process in running])
                for process in [process for process in running if process.sentinel in ended]:
                    process.join()
                    name, seed = running.pop(process)
                    if process.exitcode:
                        raise TrainingError(f"the training of {name} with seed {seed} ended with {process.exitcode}")
        finally:
            for process in running:
                process.terminate()
                process.join()


def _work(plan: Plan, job: Job, nice: int) -> None:
    # Ctrl-C is for the parent, which ends its workers. Linux divides its time among sessions first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.setsid()
    os.nice(nice)
    run(plan, *job)
