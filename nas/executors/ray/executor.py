"""Runs evaluations in workers on Ray."""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from autopanoptic.nas.evaluation.context import Context
from autopanoptic.nas.evaluation.evaluator import Evaluator
from autopanoptic.nas.executors.base import (
    MOST_DEATHS_BEFORE_READY,
    NO_CONTEXT,
    OnAttribute,
    OnReport,
    Outcome,
    not_kept,
)
from autopanoptic.nas.executors.devices import OWN
from autopanoptic.nas.executors.needs import pickled_with_needs
from autopanoptic.nas.executors.ray.actor import CALLS_AT_A_TIME, Started, WorkerActor
from autopanoptic.nas.executors.ray.connection import Connection, require_ray
from autopanoptic.nas.executors.ray.resources import resources_of
from autopanoptic.nas.executors.worker import Attributed, Done, Loaded, Reported, Task
from autopanoptic.nas.space.architecture import Architecture

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class _Worker:
    place: int
    actor: Any
    messages: Any
    """Ray's reference to what the worker says next."""
    trial_id: int | None = None
    since: float = 0.0
    ready: bool = False
    pid: int | None = None
    unread: deque[Any] = field(default_factory=deque)
    """Messages that have come behind one whose reader has raised an exception."""


class RayExecutor:
    """Runs evaluations in workers on Ray: on this machine, or on the nodes of a cluster.

    A worker is an actor, each with its own copy of the evaluator, which lies once in Ray's object store. Where more
    workers are asked for than the cluster has room for, the others wait until nodes join, and trials go to those
    that are there; so they do when nodes leave. A worker that dies, be it alone, with its node or for lack of memory,
    is replaced, and its trial is reported as such. So is, after a trial that failed, one that uses CUDA: a device's
    error stays with the process.

    A Ray on this machine has no dashboard and listens on no interface but the machine's own; it starts and ends with
    each run. Where the program has called ``ray.init`` before, that Ray is used and left as it is.

    Args:
        address: of a cluster, as ``ray start --head`` prints it, or ``"auto"`` on one of its nodes; None for that in
            the environment variable ``RAY_ADDRESS``, as a submitted job finds it, and else for a Ray on this machine.
        workers: how many trials run at a time.
        resources: what a worker occupies of its node: ``num_cpus`` (1 unless given; as many threads torch, OpenMP and
            BLAS may use, at least one), ``num_gpus`` (also a fraction, of a GPU that several workers share), ``memory``
            (bytes), and the nodes' own resources by their names. A worker sees no GPUs but its own, the
            first of them as ``"cuda:0"`` (:attr:`Context.device`).
        runtime_env: what Ray prepares on a node before a worker starts there, such as ``{"working_dir": "."}``.

    Raises:
        ImportError: when Ray is not installed.
        ValueError: when ``workers`` is less than 1, or an amount of ``resources`` is wrong.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        workers: int,
        resources: Mapping[str, float] | None = None,
        runtime_env: Mapping[str, Any] | None = None,
    ) -> None:
        if workers < 1:
            raise ValueError(f"workers must be at least 1, not {workers}.")
        self.capacity = workers
        self.resources = resources_of(resources or {})
        self._runtime_env = None if runtime_env is None else dict(runtime_env)
        self._ray = require_ray()
        self._connection = Connection(address)
        self._keeps = False
        self._forget()

    def _forget(self) -> None:
        self._workers: list[_Worker] = []
        self._waiting: deque[Task] = deque()
        self._outcomes: deque[Outcome] = deque()
        self._evaluator: Any = None
        self._early_deaths = 0

    def start(
        self,
        evaluator: Evaluator,
        on_report: OnReport,
        *,
        answers: bool = True,
        on_attribute: OnAttribute = not_kept,
    ) -> None:
        """Connect to Ray, and have the workers started.

        Raises:
            TypeError: when the evaluator cannot be sent to another process.
            ConnectionError: when there is no cluster at the address.
            ValueError: when this machine, without a cluster, has not the resources for so many workers.
        """
        pickled, _ = pickled_with_needs(evaluator)
        self._on_report, self._on_attribute, self._answers = on_report, on_attribute, answers
        self._connection.open(max(1, math.ceil(self.capacity * self.resources.num_cpus)))
        try:
            self._check_room()
            self._evaluator = self._ray.put(pickled)
            self._workers = [self._begun(place) for place in range(self.capacity)]
        except BaseException:
            self.stop()
            raise

    def _check_room(self) -> None:
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        room = self.resources.room_on(nodes)
        if room >= self.capacity:
            return
        found = f"{self.capacity} workers of {self.resources} each do not fit: there is room for {room}"
        if self._connection.local:
            raise ValueError(f"{found} on this machine. Take fewer workers or resources, or a cluster by its address.")
        logger.warning("%s in the cluster as it is. The others wait until nodes join.", found)

    def _begun(self, place: int) -> _Worker:
        actor = self._ray.remote(WorkerActor).options(
            **self.resources.options,
            max_concurrency=CALLS_AT_A_TIME,
            scheduling_strategy="SPREAD",  # so that a node which is lost takes few with it
            runtime_env=self._runtime_env,
        )
        device = OWN if self.resources.num_gpus else None
        handle = actor.remote(self._evaluator, place, self.resources.threads, self._answers, device, sys.path)
        return _Worker(place, handle, handle.listen.remote())

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the connection between evaluators, and with it a Ray on this machine, which takes seconds to start."""
        self._keeps = True
        try:
            yield
        finally:
            self._keeps = False
            self._connection.close()

    def submit(self, trial_id: int, architecture: Architecture, context: Context = NO_CONTEXT) -> None:
        """Give an evaluation to a worker that is ready and free, or to the first that comes to be."""
        self._waiting.append(Task(trial_id, architecture.to_json(), context))
        self._give_out()

    def _give_out(self) -> None:
        for worker in self._workers:
            if self._waiting and worker.ready and worker.trial_id is None:
                task = self._waiting.popleft()
                worker.trial_id, worker.since = task.trial_id, time.perf_counter()
                worker.actor.give.remote(task)

    def has_begun(self, trial_id: int) -> bool:
        """Return whether a worker that is placed and has loaded the evaluator evaluates the trial."""
        return any(worker.trial_id == trial_id for worker in self._workers)

    def wait(self, timeout: float | None = None) -> Outcome | None:
        """Return the next result, answering reports meanwhile.

        Raises:
            RuntimeError: when workers die again and again before they are ready.
        """
        deadline = None if timeout is None else time.perf_counter() + timeout
        while not self._outcomes and (self._waiting or any(worker.trial_id is not None for worker in self._workers)):
            if timeout != 0:
                self._give_out()
            left = None if deadline is None else max(0.0, deadline - time.perf_counter())
            self._handle(self._ready(0.0 if any(worker.unread for worker in self._workers) else left))
            if deadline is not None and time.perf_counter() >= deadline:
                break
        return self._outcomes.popleft() if self._outcomes else None

    def _ready(self, timeout: float | None) -> Sequence[Any]:
        """Return which messages have come; all of them, so that none waits while another worker reports without end."""
        coming = [worker.messages for worker in self._workers]
        first, others = self._ray.wait(coming, timeout=timeout)
        if not first or not others:
            return list(first)
        return [*first, *self._ray.wait(others, num_returns=len(others), timeout=0)[0]]

    def _handle(self, ready: Sequence[Any]) -> None:
        for worker in [worker for worker in self._workers if worker.unread or worker.messages in ready]:
            self._read(worker)
            if worker in self._workers and worker.messages in ready:  # on_report may abandon trials
                self._listen(worker)

    def _listen(self, worker: _Worker) -> None:
        try:
            messages = self._ray.get(worker.messages)
        except self._ray.exceptions.RayError as problem:
            self._bury(worker, problem)
            return
        worker.messages = worker.actor.listen.remote()
        worker.unread.extend(messages)
        self._read(worker)

    def _read(self, worker: _Worker) -> None:
        while worker.unread and worker in self._workers:  # it may have been replaced by the message before
            self._take(worker, worker.unread.popleft())

    def _take(self, worker: _Worker, message: Started | Loaded | Done | Reported | Attributed) -> None:
        if isinstance(message, Started):
            worker.pid = message.pid
        elif isinstance(message, Loaded):
            worker.ready, self._early_deaths = True, 0
        elif isinstance(message, Done):
            worker.trial_id = None
            self._outcomes.append(message.outcome)
            if message.spent:
                self._replace(worker)
        elif not (message.late and (worker.trial_id is None or self._is_under_way(message.trial_id))):
            # else the trial runs again, or its result has not been seen yet
            if isinstance(message, Attributed):
                self._on_attribute(message.trial_id, message.name, message.value)
            else:
                self._take_report(worker, message)

    def _is_under_way(self, trial_id: int) -> bool:
        return self.has_begun(trial_id) or any(task.trial_id == trial_id for task in self._waiting)

    def _take_report(self, worker: _Worker, message: Reported) -> None:
        stop = self._on_report(message.trial_id, message.step, message.metrics, message.seconds)
        if message.awaits_answer:
            worker.actor.give.remote(stop)
        elif stop and self.abandon(message.trial_id):
            seconds = time.perf_counter() - worker.since
            self._outcomes.append(Outcome(message.trial_id, stopped=True, seconds=seconds))

    def _replace(self, worker: _Worker) -> None:
        self._ray.kill(worker.actor)
        self._workers[self._workers.index(worker)] = self._begun(worker.place)

    def _bury(self, worker: _Worker, problem: Exception) -> None:
        if worker.trial_id is not None:
            seconds = time.perf_counter() - worker.since
            error = f"The worker died: {problem}"
            self._outcomes.append(Outcome(worker.trial_id, error=error, died=True, seconds=seconds))
        if not worker.ready:
            self._early_deaths += 1
            if self._early_deaths >= MOST_DEATHS_BEFORE_READY * self.capacity:
                raise RuntimeError(
                    f"{self._early_deaths} workers in a row died before they were ready; what they print stands above. "
                    "Every node needs this release of autopanoptic, the evaluator's modules, and room for its copy of "
                    f"the evaluator. The last one: {problem}"
                ) from problem
        self._replace(worker)

    def abandon(self, trial_id: int) -> bool:
        """End an evaluation with all the processes that it has started, and replace its worker.

        Returns:
            False where the trial is not under way; it may have ended, its outcome being next.
        """
        waiting = next((task for task in self._waiting if task.trial_id == trial_id), None)
        if waiting is not None:
            self._waiting.remove(waiting)
            return True
        worker = next((w for w in self._workers if w.trial_id == trial_id), None)
        if worker is None:
            return False
        self._replace(worker)
        return True

    def stop(self) -> None:
        """End the workers, whatever they are doing, and all that they have started; the executor may start again.

        So does a Ray on this machine, and the connection to a cluster, where the executor has made them.
        """
        workers = self._workers
        self._forget()
        if self._ray.is_initialized():
            for worker in workers:
                self._ray.kill(worker.actor)
        if not self._keeps:
            local = self._connection.local
            self._connection.close()
            if local:  # Ray ends what workers have started, but for what it has not come to before it ends itself
                _kill_groups([worker.pid for worker in workers if worker.pid is not None])


def _kill_groups(leaders: Sequence[int]) -> None:
    for leader in leaders:
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(leader, signal.SIGKILL)
