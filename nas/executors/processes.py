"""Runs evaluations in worker processes on this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import cloudpickle

from autopanoptic.nas.architecture import Architecture
from autopanoptic.nas.evaluator import Evaluator, Metrics
from autopanoptic.nas.executors.base import OnReport, Outcome, run_one


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    trial_id: int | None = None
    since: float = 0.0


class ProcessExecutor:
    """Runs evaluations in worker processes, each with its own copy of the evaluator.

    Workers are started afresh (the "spawn" method), so a program that uses them keeps its own work under
    ``if __name__ == "__main__":``. A worker that dies is replaced, and its trial is reported as such.

    Args:
        workers: how many processes.
        threads: how many threads torch and OpenMP may use in each.

    Raises:
        ValueError: when either is less than 1.
    """

    def __init__(self, workers: int, threads: int = 1) -> None:
        if workers < 1 or threads < 1:
            raise ValueError(f"workers and threads must be at least 1, not {workers} and {threads}.")
        self.capacity = workers
        self.threads = threads
        self._workers: list[_Worker] = []
        self._evaluator = b""

    def start(self, evaluator: Evaluator, on_report: OnReport) -> None:
        """Start the workers."""
        self._evaluator = cloudpickle.dumps(evaluator)
        self._on_report = on_report
        self._workers = [self._spawn() for _ in range(self.capacity)]

    def _spawn(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self._evaluator, self.threads), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def submit(self, trial_id: int, architecture: Architecture) -> None:
        """Give an evaluation to a free worker."""
        worker = next(w for w in self._workers if w.trial_id is None)
        worker.trial_id, worker.since = trial_id, time.perf_counter()
        with suppress(OSError):  # it died while it was idle; wait() finds its pipe closed
            worker.pipe.send((trial_id, architecture.to_json()))

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """Return the next result, answering reports meanwhile."""
        deadline = None if timeout is None else time.perf_counter() + timeout
        while True:
            left = None if deadline is None else max(0.0, deadline - time.perf_counter())
            busy = {worker.pipe: worker for worker in self._workers if worker.trial_id is not None}
            ready = wait(list(busy), left)
            if not ready:
                return None
            outcome = self._receive(busy[ready[0]])  # type: ignore[index]
            if outcome is not None:
                return outcome

    def _receive(self, worker: _Worker) -> Outcome | None:
        try:
            message: Any = worker.pipe.recv()
        except (EOFError, OSError):
            return self._bury(worker)
        if isinstance(message, Outcome):
            worker.trial_id = None
            return message
        stop = self._on_report(*message)
        with suppress(OSError):  # it died since; wait() finds its pipe closed
            worker.pipe.send(stop)
        return None

    def _bury(self, worker: _Worker) -> Outcome:
        worker.process.join(timeout=5)
        assert worker.trial_id is not None
        outcome = Outcome(
            worker.trial_id,
            error=f"The worker process died with exit code {worker.process.exitcode}.",
            died=True,
            seconds=time.perf_counter() - worker.since,
        )
        worker.pipe.close()
        self._workers[self._workers.index(worker)] = self._spawn()
        return outcome

    def stop(self) -> None:
        """End the workers, whatever they are doing."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()
        self._workers = []


def _work(pipe: Connection, evaluator: bytes, threads: int) -> None:
    """The worker's own loop; Ctrl-C is the driver's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    loaded: Evaluator = cloudpickle.loads(evaluator)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    while True:
        try:
            trial_id, options = pipe.recv()
        except EOFError:
            return

        def ask_driver(trial_id: int, step: int, metrics: Metrics) -> bool:
            pipe.send((trial_id, step, metrics))
            return bool(pipe.recv())

        pipe.send(run_one(loaded, trial_id, Architecture(options), ask_driver))
