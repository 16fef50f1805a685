"""Training in several processes."""

from __future__ import annotations

import inspect
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy
from torch.nn.parallel import DistributedDataParallel

from autopanoptic.nas.executors.groups import end_with_parent
from autopanoptic.panoptic.training.hardware import keep_memory
from autopanoptic.panoptic.training.parallel.launch import WAIT
from autopanoptic.panoptic.training.terminal import silence

_NAMES = inspect.signature(DistributedDataParallel).parameters
OPTIONS: dict[str, Any] = {
    "find_unused_parameters": True,
    "forward_sync_buffers" if "forward_sync_buffers" in _NAMES else "broadcast_buffers": False,
}
"""Of all DDP. Buffers are not sent around in every step: the first process's would take the place of what the others
have seen, see `CommonStatistics`. Torch 2.12 has another name for that."""


class SpawnedProcesses(DDPStrategy):
    """Trains in spawned processes, which end with the training, and are as quiet and as wide as their caller.

    The paths of a supernet leave parameters unused.

    Args:
        threads: In which each process computes.
    """

    def __init__(self, threads: int) -> None:
        super().__init__(start_method="spawn", timeout=WAIT, **OPTIONS)
        self.threads = threads

    def setup_environment(self) -> None:
        """Let a process join the others."""
        silence()
        torch.set_num_threads(self.threads)
        end_with_parent()
        super().setup_environment()
        if self.root_device.type == "cpu":
            keep_memory()


@contextmanager
def ending_processes() -> Iterator[None]:
    """Keep Ctrl-C from the processes that this starts, and end them when it or an error ends this.

    One that imports would print where it was, and one that waits in torch for the others to join it would not heed it.
    What they have kept is whole at any moment.
    """
    with _deaf_processes() as started:
        try:
            yield
        except BaseException:
            for process in started:
                process.kill()
                process.join()
            raise


@contextmanager
def _deaf_processes() -> Iterator[list[BaseProcess]]:
    """Have processes that this thread spawns begin with Ctrl-C blocked, and yield them.

    Neither Lightning nor torch has a way to start them so, and a thread's mask goes over to what it starts. Trainings
    in several threads share one replacement of the method, which the last of them takes away.
    """
    thread = threading.get_ident()
    with _REPLACING:
        outer, _STARTED[thread] = _STARTED.get(thread), []
        if SpawnProcess.start is _BEGIN:
            SpawnProcess.start = _start  # type: ignore[assignment, method-assign]
    try:
        yield _STARTED[thread]
    finally:
        with _REPLACING:
            if outer is None:
                del _STARTED[thread]
            else:
                _STARTED[thread] = outer
            if not _STARTED:
                SpawnProcess.start = _BEGIN  # type: ignore[method-assign]


_BEGIN = SpawnProcess.start
_REPLACING = threading.Lock()
_STARTED: dict[int, list[BaseProcess]] = {}
"""What each thread in which a training runs has started for it."""


def _start(process: BaseProcess) -> None:
    started = _STARTED.get(threading.get_ident())
    if started is None:
        _BEGIN(process)
        return
    with _blocked():
        _BEGIN(process)
        started.append(process)


@contextmanager
def _blocked() -> Iterator[None]:
    """Have Ctrl-C wait until the end of this."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows has none
        yield
        return
    former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


@contextmanager
def heard(listener: Callable[[int], None]) -> Iterator[Callable[[int], None]]:
    """Yield what a spawned process may call instead of a function of its caller, which is called there.

    What that raises is raised at the end.
    """
    receiver, sender = multiprocessing.get_context("spawn").Pipe(duplex=False)
    errors: list[BaseException] = []
    thread = threading.Thread(target=_listen, args=(receiver, listener, errors), daemon=True)
    thread.start()
    try:
        yield sender.send
    finally:
        sender.close()
        thread.join()
        receiver.close()
    if errors:
        raise errors[0]


def _listen(receiver: Connection, listener: Callable[[int], None], errors: list[BaseException]) -> None:
    """Pass on what comes, until all who may send have ended; they would wait for one who does not listen."""
    while True:
        try:
            found = receiver.recv()
        except EOFError:
            return
        try:
            if not errors:
                listener(found)
        except BaseException as error:
            errors.append(error)
