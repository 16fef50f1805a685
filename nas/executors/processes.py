"""Runs evaluations in worker processes on this machine."""

from __future__ import annotations

import atexit
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from autopanoptic.nas.evaluation.context import Context
from autopanoptic.nas.evaluation.evaluator import Evaluator
from autopanoptic.nas.executors import launch
from autopanoptic.nas.executors.base import (
    MOST_DEATHS_BEFORE_READY,
    NO_CONTEXT,
    OnAttribute,
    OnReport,
    Outcome,
    not_kept,
)
from autopanoptic.nas.executors.devices import Devices, devices_of
from autopanoptic.nas.executors.launch import GUARD, ServerLostError, WorkerServer, check_program
from autopanoptic.nas.executors.needs import pickled_with_needs
from autopanoptic.nas.executors.server import Ended
from autopanoptic.nas.executors.worker import Attributed, Done, Loaded, Reported, Settings, Task
from autopanoptic.nas.interruption import deferred_interrupt
from autopanoptic.nas.space.architecture import Architecture


@dataclass(eq=False)
class _Worker:
    number: int
    pipe: Connection
    trial_id: int | None = None
    since: float = 0.0
    loaded: bool = False
    reading: bool = False
    """Whether a message is being read, or Ctrl-C has come in its midst."""


class ProcessExecutor:
    """Runs evaluations in worker processes, each with its own copy of the evaluator.

    One more process imports the program and the modules that the evaluator needs, and then forks the workers; so a
    program that uses them is a file, and keeps its own work under ``if __name__ == "__main__":``. Where a fork would
    not be safe (on other systems than Linux, or where an import starts threads, opens a file or a GPU), each worker
    imports everything anew.

    A worker that dies is replaced, and its trial is reported as such. So is, after a trial that failed, one that uses
    CUDA: a device's error stays with the process. A worker leads a group of processes; what an evaluator starts
    is of its group, unless it makes a session of its own, and ends with it.

    Args:
        workers: how many processes.
        threads: how many threads torch, OpenMP and BLAS may use in each.
        devices: gives each worker a device of its own, which it and the processes that it starts see alone, as
            ``"cuda:0"`` (:attr:`Context.device`); a worker that replaces another has its device. ``"cuda"`` takes
            the first that this process sees (by ``CUDA_VISIBLE_DEVICES``, or all of NVIDIA's); a list names one for
            each worker: ``"cuda:1"`` or 1 for the second of those, or an id such as ``"GPU-..."``; workers that share
            one name the same. None gives none: workers see what this process sees.

    Raises:
        ValueError: when a number is less than 1, or the devices are too few, too many, or not there.
    """

    def __init__(self, workers: int, threads: int = 1, *, devices: Devices | None = None) -> None:
        if workers < 1 or threads < 1:
            raise ValueError(f"workers and threads must be at least 1, not {workers} and {threads}.")
        self.capacity = workers
        self.threads = threads
        self._devices = () if devices is None else devices_of(devices, workers)
        self._server: WorkerServer | None = None
        self._resting: WorkerServer | None = None
        self._keeps = False
        self._workers: list[_Worker] = []
        self._outcomes: deque[Outcome] = deque()
        self._early_deaths = 0

    def start(
        self,
        evaluator: Evaluator,
        on_report: OnReport,
        *,
        answers: bool = True,
        on_attribute: OnAttribute = not_kept,
    ) -> None:
        """Start the workers.

        Raises:
            TypeError: when the evaluator cannot be sent to another process.
            RuntimeError: when the program is one that another process cannot import.
        """
        check_program()
        self._early_deaths = 0
        pickled, self._modules = pickled_with_needs(evaluator)
        self._settings = Settings(pickled, self.threads, answers, self._devices)
        self._on_report, self._on_attribute = on_report, on_attribute
        # At exit multiprocessing waits for processes that are no daemons; what is registered later is called earlier.
        atexit.register(self.stop)
        self._start_all()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the process that starts the workers between evaluators, so that it imports what they need once.

        What it has imported for one evaluator lies in the memory of the workers of the next, too.
        """
        self._keeps = True
        try:
            yield
        finally:
            self._keeps = False
            self._end_resting()

    def _end_resting(self) -> None:
        resting, self._resting = self._resting, None
        if resting is not None:
            resting.end()

    def _start_all(self) -> None:
        server = self._resting
        if server is not None and server.process.is_alive():
            server.begin(self._modules, self._settings)
            self._resting = None
        else:
            self._end_resting()
            server = WorkerServer(self._modules, self._settings)
        self._server = server
        self._workers = [_Worker(*self._server.start_worker(place)) for place in range(self.capacity)]

    def submit(self, trial_id: int, architecture: Architecture, context: Context = NO_CONTEXT) -> None:
        """Give an evaluation to a free worker."""
        worker = next(w for w in self._workers if w.trial_id is None)
        worker.trial_id, worker.since = trial_id, time.perf_counter()
        with suppress(OSError):  # it died while it was idle; the server will say so
            worker.pipe.send(Task(trial_id, architecture.to_json(), context))

    def has_begun(self, trial_id: int) -> bool:
        """Return whether a worker that has imported what it needs evaluates the trial."""
        return any(worker.trial_id == trial_id and worker.loaded for worker in self._workers)

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """Return the next result, answering reports meanwhile.

        Raises:
            RuntimeError: when the workers cannot even start, or die again and again before they are ready.
        """
        deadline = None if timeout is None else time.perf_counter() + timeout
        while not self._outcomes and self._server is not None:
            busy = [worker.pipe for worker in self._workers if worker.trial_id is not None and not worker.pipe.closed]
            if not busy and all(worker.trial_id is None for worker in self._workers):
                break
            left = None if deadline is None else max(0.0, deadline - time.perf_counter())
            # All of them, so that none waits while another reports without end.
            self._handle(self._server, wait([self._server.control, *busy], left))
            if deadline is not None and time.perf_counter() >= deadline:
                break
        return self._outcomes.popleft() if self._outcomes else None

    def _handle(self, server: WorkerServer, ready: Sequence[Any]) -> None:
        for worker in [worker for worker in self._workers if worker.pipe in ready]:
            if worker in self._workers:  # on_report may abandon trials
                self._receive(server, worker)
        if server.control in ready:
            try:
                ended = server.receive()
            except ServerLostError:
                self._begin_again(server)
            else:
                self._bury(server, ended)

    def _receive(self, server: WorkerServer, worker: _Worker) -> None:
        try:
            if worker.reading:
                raise EOFError  # of what comes now nobody knows where it begins
            worker.reading = True
            message: Loaded | Done | Reported | Attributed = worker.pipe.recv()
            with deferred_interrupt():  # else a result could be lost
                worker.reading = False
                if isinstance(message, Done):
                    worker.trial_id = None
                    self._outcomes.append(message.outcome)
        except (EOFError, OSError):
            # The server says how it ended, and sees to it that it does.
            worker.pipe.close()
            server.kill_worker(worker.number)
            return
        if isinstance(message, Loaded):
            worker.loaded, worker.since, self._early_deaths = True, time.perf_counter(), 0
            return
        if isinstance(message, Done):
            if message.spent:
                self._replace(server, worker)
            return
        if message.late and any(other.trial_id == message.trial_id for other in self._workers):
            return  # the trial runs again, and this is not of it
        if isinstance(message, Attributed):
            self._on_attribute(message.trial_id, message.name, message.value)
            return
        stop = self._on_report(message.trial_id, message.step, message.metrics, message.seconds)
        if message.awaits_answer:
            with suppress(OSError):  # it died since
                worker.pipe.send(stop)
        elif stop and self.abandon(message.trial_id):
            seconds = time.perf_counter() - worker.since
            self._outcomes.append(Outcome(message.trial_id, stopped=True, seconds=seconds))

    def _replace(self, server: WorkerServer, worker: _Worker) -> None:
        worker.pipe.close()
        server.kill_worker(worker.number)
        place = self._workers.index(worker)
        self._workers[place] = _Worker(*server.start_worker(place))

    def _bury(self, server: WorkerServer, ended: Ended | None) -> None:
        worker = next((w for w in self._workers if ended is not None and w.number == ended.number), None)
        if worker is None or ended is None:
            return
        while worker in self._workers and not worker.pipe.closed and worker.pipe.poll():
            self._receive(server, worker)  # what it said before it ended
        if worker in self._workers:
            self._tell_death(worker, f"The worker process died: {_ending(ended.code)}.")
            self._count_early_death(worker, ended)
            self._replace(server, worker)

    def _count_early_death(self, worker: _Worker, ended: Ended) -> None:
        if any(other.loaded for other in self._workers):
            return  # the others go on
        self._early_deaths += 1
        if self._early_deaths >= MOST_DEATHS_BEFORE_READY * self.capacity:
            raise RuntimeError(
                f"{self._early_deaths} worker processes in a row died before they were ready, when they loaded the "
                f"evaluator; what they print stands above. The last one: {_ending(ended.code)}."
            )

    def _tell_death(self, worker: _Worker, error: str) -> None:
        if worker.trial_id is not None:
            seconds = time.perf_counter() - worker.since
            self._outcomes.append(Outcome(worker.trial_id, error=error, died=True, seconds=seconds))

    def _begin_again(self, server: WorkerServer) -> None:
        """The server has died, and all workers with it."""
        server.process.join(launch.SECONDS_TO_END)
        ending = _ending(server.process.exitcode)
        if not server.ready:
            raise RuntimeError(
                f"The worker processes end with {ending} before they begin; what they print stands above. {GUARD}"
            )
        for worker in self._workers:
            self._tell_death(worker, f"The process that starts the workers died: {ending}.")
            worker.pipe.close()
        server.end()
        self._start_all()

    def abandon(self, trial_id: int) -> bool:
        """End an evaluation with all the processes that it has started, and replace its worker.

        Returns:
            False where the trial is not under way; it may have ended, its outcome being next.
        """
        worker = next((w for w in self._workers if w.trial_id == trial_id), None)
        if worker is None or self._server is None:
            return False
        self._replace(self._server, worker)
        return True

    def stop(self) -> None:
        """End the workers, whatever they are doing, and all that they have started; the executor may start again.

        They are asked to, and killed after 5 seconds.
        """
        server, self._server = self._server, None
        workers, self._workers = self._workers, []
        self._outcomes.clear()
        if server is not None:
            if self._keeps and server.rest():
                self._resting = server
            else:
                server.end()
        for worker in workers:
            worker.pipe.close()
        atexit.unregister(self.stop)


OF_COMPILED_CODE = frozenset(getattr(signal, name, None) for name in ("SIGABRT", "SIGBUS", "SIGSEGV"))


def _ending(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    reason = ""
    if code == -9:
        reason = ", often the system's answer to a lack of memory"
    elif -code in OF_COMPILED_CODE:
        reason = ", as of compiled code that has failed; a lack of memory, or a limit on it, may be the reason"
    return f"signal {-code}{reason}"
