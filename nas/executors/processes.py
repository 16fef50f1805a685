"""Runs evaluations in worker processes on this machine."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from autopanoptic.nas.evaluation.evaluator import Evaluator, Metrics
from autopanoptic.nas.executors.base import OnReport, Outcome, run_one
from autopanoptic.nas.space.architecture import Architecture

SECONDS_TO_END = 5.0
READY = "ready"


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
        self._any_ready = False

    def start(self, evaluator: Evaluator, on_report: OnReport) -> None:
        """Start the workers.

        Raises:
            TypeError: when the evaluator cannot be sent to another process.
        """
        try:
            self._evaluator = cloudpickle.dumps(evaluator)
        except Exception as problem:
            raise TypeError(
                f"The evaluator cannot be sent to another process: {problem}. Make what it needs inside evaluate(), "
                "or run in this process with InlineExecutor."
            ) from problem
        self._on_report = on_report
        self._any_ready = False
        # At exit multiprocessing waits for processes that are no daemons; what is registered later is called earlier.
        atexit.register(self.stop)
        for _ in range(self.capacity):
            self._workers.append(self._spawn())

    def _spawn(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        # A daemon could have no children of its own, such as the workers of a DataLoader.
        process = context.Process(target=_work, args=(theirs, self._evaluator, self.threads), daemon=False)
        with _interrupt_blocked():
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
        """Return the next result, answering reports meanwhile.

        Raises:
            RuntimeError: when the workers cannot even start.
        """
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
        if message == READY:
            self._any_ready = True
            return None
        stop = self._on_report(*message)
        with suppress(OSError):  # it died since; wait() finds its pipe closed
            worker.pipe.send(stop)
        return None

    def _bury(self, worker: _Worker) -> Outcome:
        worker.process.join(SECONDS_TO_END)
        code = worker.process.exitcode
        if not self._any_ready:
            raise RuntimeError(
                f"The worker processes end with exit code {code} before they begin; what they print stands above. A "
                'program that starts workers keeps its own work under `if __name__ == "__main__":`.'
            )
        assert worker.trial_id is not None
        seconds = time.perf_counter() - worker.since
        outcome = Outcome(
            worker.trial_id, error=f"The worker process died: {_ending(code)}.", died=True, seconds=seconds
        )
        worker.pipe.close()
        self._workers[self._workers.index(worker)] = self._spawn()
        return outcome

    def stop(self) -> None:
        """End the workers, whatever they are doing."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(SECONDS_TO_END)
            if worker.process.is_alive():  # training loops are known to catch SIGTERM
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()
        self._workers = []
        atexit.unregister(self.stop)


def _ending(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    return f"signal {-code}" + (", often the system's answer to a lack of memory" if code == -9 else "")


@contextmanager
def _interrupt_blocked() -> Iterator[None]:
    """Let a process that is started here inherit a blocked Ctrl-C, which is the driver's to handle."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    former = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _work(pipe: Connection, evaluator: bytes, threads: int) -> None:
    """The worker's own loop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_driver, daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = str(threads)
    with suppress(EOFError, BrokenPipeError):  # the driver is gone
        try:
            loaded: Evaluator = cloudpickle.loads(evaluator)
        except Exception:
            _refuse(pipe, traceback.format_exc())
        else:
            _serve(pipe, loaded, threads)


def _end_with_driver() -> None:
    """A driver that is killed cannot end its workers, and one in a long evaluation would not notice."""
    driver = multiprocessing.parent_process()
    if driver is not None:
        driver.join()
        os._exit(1)


def _refuse(pipe: Connection, error: str) -> None:
    """Fail every trial, because the evaluator could not be loaded."""
    pipe.send(READY)
    while True:
        trial_id, _ = pipe.recv()
        pipe.send(Outcome(trial_id, error=error))


def _serve(pipe: Connection, evaluator: Evaluator, threads: int) -> None:
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)

    def ask_driver(trial_id: int, step: int, metrics: Metrics) -> bool:
        pipe.send((trial_id, step, metrics))
        return bool(pipe.recv())

    pipe.send(READY)
    while True:
        trial_id, options = pipe.recv()
        pipe.send(run_one(evaluator, trial_id, Architecture(options), ask_driver))
