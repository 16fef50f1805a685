"""The driver's side of the process that starts the workers."""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import reduction, spawn
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from autopanoptic.nas.executors.server import Begin, Ended, Kill, Ready, Rest, Rested, Start, Stop, serve
from autopanoptic.nas.executors.variables import environment
from autopanoptic.nas.executors.worker import THREAD_COUNTS, Settings

SECONDS_TO_END = 5.0
ARROW_ALLOCATOR = "JE_ARROW_MALLOC_CONF"
"""Options of jemalloc in pyarrow."""
GUARD = 'A program that starts workers keeps its own work under `if __name__ == "__main__":`.'

logger = logging.getLogger(__name__)


class ServerLostError(Exception):
    """The process that starts the workers has died."""


class WorkerServer:
    """A process that imports the program and some modules, and then starts workers.

    Args:
        modules: to import before workers start.
        settings: of the workers.
    """

    def __init__(self, modules: Collection[str], settings: Settings) -> None:
        context = multiprocessing.get_context("spawn")
        self.control, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, SECONDS_TO_END), daemon=False)
        with _interrupt_blocked(), environment(without_threads()):
            self.process.start()
        theirs.close()
        self._numbers = itertools.count()
        self.begin(modules, settings)

    def begin(self, modules: Collection[str], settings: Settings) -> None:
        """Have modules imported, and the next workers started with these settings."""
        self.ready = False
        self._send(Begin(frozenset(modules), settings))

    def rest(self) -> bool:
        """End all workers, whatever they are doing, and return whether the process can `begin` again."""
        self._send(Rest())
        with suppress(ServerLostError, OSError):
            while self.ready and self.control.poll(SECONDS_TO_END + 2):
                if self._receive_rest():
                    return True
        return False

    def _receive_rest(self) -> bool:
        message = self._recv()
        if isinstance(message, Rested):
            return True
        self._take(message)
        return False

    def _send(self, message: Any) -> None:
        with suppress(OSError):  # it has died; receive() says so
            self.control.send(message)

    def start_worker(self, place: int) -> tuple[int, Connection]:
        """Have a worker started; returns its number and the pipe to it, which may be written to at once.

        Args:
            place: among the workers, which one that replaces another takes over.
        """
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        number = next(self._numbers)
        self._send(Start(number, place))
        with suppress(OSError):
            reduction.send_handle(self.control, theirs.fileno(), self.process.pid)
        theirs.close()
        return number, ours

    def kill_worker(self, number: int) -> None:
        """Have a worker killed with all that it has started; nothing happens where it has ended."""
        self._send(Kill(number))

    def receive(self) -> Ended | None:
        """Return the next message, None when it says nothing of a worker.

        Raises:
            ServerLostError: when the process has died.
        """
        return self._take(self._recv())

    def _recv(self) -> Ready | Ended | Rested:
        try:
            message: Ready | Ended | Rested = self.control.recv()
        except (EOFError, OSError):
            raise ServerLostError from None
        return message

    def _take(self, message: Ready | Ended | Rested) -> Ended | None:
        if isinstance(message, Ended):
            return message
        if isinstance(message, Rested):
            return None
        self.ready = True
        if message.obstacle is not None:
            level = logging.WARNING if sys.platform == "linux" else logging.INFO
            logger.log(level, "Each worker imports everything anew, which takes longer: %s.", message.obstacle)
        return None

    def end(self) -> None:
        """End the process and all workers, whatever they are doing."""
        with suppress(ServerLostError, OSError):
            while self.control.poll():
                self.receive()
        self._send(Stop())
        self.control.close()
        if not self.ready:  # it has started none, and may have much to import
            self.process.terminate()
        self.process.join(SECONDS_TO_END + 2)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def check_program() -> None:
    """Check that another process can import the program, as far as this one can tell.

    Raises:
        RuntimeError: when the program is being imported by such a process already, or is no file.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RuntimeError(f"A worker process imports this program, which starts workers in turn. {GUARD}")
    path = spawn.get_preparation_data("").get("init_main_from_path")
    if path is not None and not Path(path).is_file():
        name = getattr(sys.modules["__main__"], "__file__", path)
        raise RuntimeError(
            f"Worker processes import the program, and cannot where it is read from {name}, such as standard input. "
            "Save it to a file and run that, or run in this process with InlineExecutor."
        )


def without_threads() -> dict[str, str]:
    """Return the variables with which libraries start no threads of their own while they are imported."""
    # pandas imports pyarrow where it is installed, and pyarrow's allocator has a thread.
    allocator = [given] if (given := os.environ.get(ARROW_ALLOCATOR)) else []
    options = ",".join([*allocator, "background_thread:false"])
    return {**dict.fromkeys(THREAD_COUNTS, "1"), ARROW_ALLOCATOR: options}


@contextmanager
def _interrupt_blocked() -> Iterator[None]:
    """Let a process that is started here inherit a blocked Ctrl-C, which is the driver's to handle."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker  # Windows has none

    resource_tracker.ensure_running()  # the first process to be started starts it too, and that unblocks Ctrl-C
    former = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)
