"""Training in several processes."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import torch
from lightning.pytorch.strategies import DDPStrategy

from autopanoptic.nas.executors.groups import end_with_parent
from autopanoptic.panoptic.training.hardware import keep_memory
from autopanoptic.panoptic.training.parallel.launch import WAIT
from autopanoptic.panoptic.training.terminal import silence

SECONDS_TO_END = 5.0
"""What processes have to end by themselves when a training is broken off."""


class SpawnedProcesses(DDPStrategy):
    """Trains in spawned processes, which end with the training, and are as quiet and as wide as their caller.

    The paths of a supernet leave parameters unused.

    Args:
        threads: In which each process computes.
    """

    def __init__(self, threads: int) -> None:
        super().__init__(start_method="spawn", find_unused_parameters=True, timeout=WAIT)
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
    """When an error or Ctrl-C ends this, end the processes that it has started and that do not end by themselves.

    Ctrl-C reaches them too. But one that waits in torch for the others to join it does not heed it, and the program
    would wait for that process at its own end.
    """
    before = multiprocessing.active_children()
    try:
        yield
    except BaseException:
        deadline = time.monotonic() + SECONDS_TO_END
        for process in multiprocessing.active_children():
            if process not in before:
                process.join(max(0.0, deadline - time.monotonic()))
                process.kill()
                process.join()
        raise


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
