"""The process that starts the workers of an executor: it imports once what they need, and forks.

It is the workers' parent, sees their ends, and ends them and all that they have started when the driver goes away.
Where a fork is not safe it starts them afresh, each with imports of its own.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import reduction
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from autopanoptic.nas.executors.devices import VISIBLE
from autopanoptic.nas.executors.forks import why_not_fork
from autopanoptic.nas.executors.groups import end_groups, ending_with_parent, kill_group
from autopanoptic.nas.executors.variables import environment
from autopanoptic.nas.executors.worker import Settings, work


@dataclass(frozen=True)
class Start:
    """What the driver sends, followed by the worker's end of a pipe: start a worker."""

    number: int
    place: int


@dataclass(frozen=True)
class Kill:
    """What the driver sends: kill a worker, with all that it has started."""

    number: int


@dataclass(frozen=True)
class Rest:
    """What the driver sends: end the workers, and wait for what comes next."""


@dataclass(frozen=True)
class Begin:
    """What the driver sends first, and after a rest: import some modules, and start workers with these settings."""

    modules: frozenset[str]
    settings: Settings


@dataclass(frozen=True)
class Stop:
    """What the driver sends last: end the workers and this process."""


@dataclass(frozen=True)
class Ready:
    """What the server sends when its imports are done, with the reason why it cannot fork."""

    obstacle: str | None


@dataclass(frozen=True)
class Rested:
    """What the server sends when all workers have ended, because the driver has asked for it."""


@dataclass(frozen=True)
class Ended:
    """What the server sends when a worker has ended, with its exit code (as of ``multiprocessing.Process``)."""

    number: int
    code: int | None


def serve(control: Connection, seconds_to_end: float) -> None:
    """Start workers as the driver asks, until it goes away; run in a process of its own.

    Args:
        control: to the driver, which first sends `Begin`.
        seconds_to_end: how long workers have, all together, to end when they are asked to.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, ConnectionError):  # the driver is gone
        _Server(control, control.recv(), seconds_to_end).serve()
    os._exit(0)  # what the program registers to be done at its end is not for this process to do


def _import(modules: Collection[str]) -> None:
    for name in sorted(modules):
        with suppress(Exception):  # the worker that needs it fails with a better message
            importlib.import_module(name)


class _Server:
    def __init__(self, control: Connection, begin: Begin, seconds_to_end: float) -> None:
        self._control = control
        self._driver = os.getppid()
        self._seconds_to_end = seconds_to_end
        self._workers: dict[int, tuple[int, BaseProcess]] = {}
        """By what becomes ready when the process ends: its number and the process."""
        self._begin(begin)

    def _begin(self, begin: Begin) -> None:
        self._settings = begin.settings
        # Imports may take long, and a driver that is killed meanwhile is not heard.
        with ending_with_parent(self._driver):
            _import(begin.modules)
        obstacle = why_not_fork({self._control.fileno()})
        self._forks = obstacle is None
        context: Any = multiprocessing.get_context("fork" if self._forks else "spawn")
        self._process: Callable[..., BaseProcess] = context.Process
        self._control.send(Ready(obstacle))

    def serve(self) -> None:
        with suppress(EOFError, OSError):  # the driver is gone
            while self._once():
                pass
        self._end_workers()

    def _end_workers(self) -> None:
        end_groups([process for _, process in self._workers.values()], self._seconds_to_end)

    def _once(self) -> bool:
        """Wait for something to happen, and return whether to go on."""
        ready = wait([self._control, *self._workers])
        for handle in [handle for handle in self._workers if handle in ready]:
            self._bury(handle)
        return self._control not in ready or self._obey(self._control.recv())

    def _obey(self, message: Start | Kill | Rest | Begin | Stop) -> bool:
        if isinstance(message, Start):
            self._start(message.number, message.place)
        elif isinstance(message, Kill):
            self._kill(message.number)
        elif isinstance(message, Begin):
            self._begin(message)
        elif isinstance(message, Rest):
            self._end_workers()
            for handle in list(self._workers):
                self._bury(handle)
            self._control.send(Rested())
        return not isinstance(message, Stop)

    def _kill(self, number: int) -> None:
        for other, process in self._workers.values():
            if other == number:
                kill_group(process)

    def _start(self, number: int, place: int) -> None:
        pipe = type(self._control)(reduction.recv_handle(self._control))
        inherited = [self._control] if self._forks else []
        # A daemon could have no children of its own, such as the workers of a DataLoader.
        process = self._process(target=work, args=(pipe, self._settings, place, inherited), daemon=False)
        # A worker that is started afresh imports the program, and with it perhaps torch, before it comes to `work`.
        with environment(self._device_of(place)):
            process.start()
        pipe.close()
        self._workers[_end_of(process)] = number, process

    def _device_of(self, place: int) -> dict[str, str]:
        return {VISIBLE: self._settings.devices[place]} if self._settings.devices else {}

    def _bury(self, handle: int) -> None:
        number, process = self._workers.pop(handle)
        process.join()
        kill_group(process)
        if handle != process.sentinel:
            os.close(handle)
        self._control.send(Ended(number, process.exitcode))


def _end_of(process: BaseProcess) -> int:
    """Return what becomes ready when a process ends, whatever its own children do.

    A sentinel does not, where these are forked and have inherited its other end.
    """
    assert process.pid is not None
    try:
        return os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # another system than Linux, or an old one
        return process.sentinel
