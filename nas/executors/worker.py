"""What a worker process does: it evaluates one architecture after another."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Protocol

import cloudpickle  # type: ignore[import-untyped]

from autopanoptic.nas.evaluation.context import Context
from autopanoptic.nas.evaluation.evaluator import Evaluator, Metrics
from autopanoptic.nas.executors.base import Outcome, failed, run_one
from autopanoptic.nas.executors.devices import OWN
from autopanoptic.nas.executors.groups import end_own_group, end_with_parent, lead_group
from autopanoptic.nas.executors.places import set_place
from autopanoptic.nas.space.architecture import Architecture, Option

THREAD_COUNTS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Settings:
    """What all workers of an executor share.

    Attributes:
        evaluator: pickled by cloudpickle.
        threads: how many torch, OpenMP and BLAS may use.
        answers: whether the driver answers reports.
        devices: what CUDA calls the device of each worker, by its place; empty where they are given none.
    """

    evaluator: bytes
    threads: int
    answers: bool
    devices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """What the driver sends: an architecture to evaluate."""

    trial_id: int
    options: dict[str, Option]
    context: Context


@dataclass(frozen=True)
class Loaded:
    """What the worker sends once, when it is about to take tasks: all that it needs is imported."""


@dataclass(frozen=True)
class Reported:
    """What the worker sends: a partial result."""

    trial_id: int
    step: int
    metrics: Metrics
    awaits_answer: bool
    late: bool
    """Whether the evaluation that reports has ended."""
    seconds: float | None = None
    """For which it has run, without what it waited for answers."""


@dataclass(frozen=True)
class Attributed:
    """What the worker sends: a value to be kept with the trial; never answered."""

    trial_id: int
    name: str
    value: Any
    late: bool
    """Whether the evaluation that it comes from has ended."""


@dataclass(frozen=True)
class Done:
    """What the worker sends: a result, and whether another process shall take the next task."""

    outcome: Outcome
    spent: bool = False


class Channel(Protocol):
    """To the driver and back: what is sent arrives in order."""

    def send(self, message: Any) -> None:
        """Send a message."""

    def recv(self) -> Any:
        """Wait for a message, and return it."""


def work(pipe: Connection, settings: Settings, place: int, inherited: Iterable[Connection] = ()) -> None:
    """Serve the driver until it goes away.

    Args:
        pipe: to the driver.
        settings: of the executor.
        place: among the workers of the executor.
        inherited: what a fork has copied from the process that starts the workers, and is that process's alone.
    """
    lead_group()
    for connection in inherited:
        connection.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(end_own_group)
    with suppress(EOFError, ConnectionError):  # the driver is gone, or has replaced this process
        load = partial(cloudpickle.loads, settings.evaluator)
        serve(pipe, load, place, settings.threads, settings.answers, OWN if settings.devices else None)


def serve(
    channel: Channel, load: Callable[[], Evaluator], place: int, threads: int, answers: bool, device: str | None
) -> None:
    """Load an evaluator and evaluate what the driver sends, in the thread that calls this.

    Args:
        channel: to the driver.
        load: returns the evaluator; what it raises fails every trial.
        place: among the workers of the executor.
        threads: how many torch, OpenMP and BLAS may use.
        answers: whether the driver answers reports.
        device: that this process has been given; None where it has been given none.
    """
    set_place(place, device)
    _separate(threads)
    try:
        evaluator = load()
    except Exception as problem:
        channel.send(Loaded())
        _refuse(channel, problem)
    else:
        _limit_loaded(threads)
        channel.send(Loaded())
        _Server(channel, evaluator, answers).serve()


def _separate(threads: int) -> None:
    """Undo what a forked process shares with its parent and its siblings."""
    os.environ.update(dict.fromkeys(THREAD_COUNTS, str(threads)))
    if "numpy" in sys.modules:  # the standard library's generator does so by itself
        sys.modules["numpy"].random.seed()
    _limit_loaded(threads)


def _limit_loaded(threads: int) -> None:
    """Libraries that are loaded no longer read the environment."""
    if threads > 1:
        from threadpoolctl import threadpool_limits

        threadpool_limits(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def _refuse(channel: Channel, problem: Exception) -> None:
    """Fail every trial, because the evaluator could not be loaded."""
    while True:
        channel.send(Done(failed(channel.recv().trial_id, problem)))


class _Server:
    """Evaluates what the driver sends; evaluators may report from any thread, also when they have long returned."""

    def __init__(self, channel: Channel, evaluator: Evaluator, answers: bool) -> None:
        self._channel = channel
        self._evaluator = evaluator
        self._answers = answers
        self._current = 0
        self._lock = threading.Lock()

    def serve(self) -> None:
        while True:
            task: Task = self._channel.recv()
            report, attribute = partial(self._report, self._current), partial(self._attribute, self._current)
            architecture = Architecture(task.options)
            outcome = run_one(self._evaluator, task.trial_id, architecture, report, task.context, attribute)
            with self._lock:
                self._current += 1
                self._channel.send(Done(outcome, spent=outcome.error is not None and device_in_use()))

    def _report(
        self, evaluation: int, trial_id: int, step: int, metrics: Metrics, seconds: float | None = None
    ) -> bool:
        with self._lock:
            late = evaluation != self._current
            # Nobody may wait for the answer to a late report: the driver's next message is another task.
            awaits = self._answers and not late
            self._channel.send(Reported(trial_id, step, metrics, awaits, late, seconds))
            return awaits and bool(self._channel.recv())

    def _attribute(self, evaluation: int, trial_id: int, name: str, value: Any) -> None:
        with self._lock:
            self._channel.send(Attributed(trial_id, name, value, late=evaluation != self._current))


def device_in_use() -> bool:
    """Whether this process computes on a device, whose errors stay with the process: all later calls fail, too."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.cuda.is_initialized())
