"""What a worker on Ray does: an actor in which a thread evaluates one architecture after another."""

from __future__ import annotations

import os
import queue
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from autopanoptic.nas.evaluation.evaluator import Evaluator
from autopanoptic.nas.executors.groups import end_own_group
from autopanoptic.nas.executors.ray import guard
from autopanoptic.nas.executors.worker import Done, serve

MOST_AT_ONCE = 1000
"""Messages to the driver; who sends more waits, as with a pipe that is full."""
CALLS_AT_A_TIME = 2
"""A driver listens all the time, and gives a task or an answer meanwhile."""


@dataclass(frozen=True)
class Started:
    """What a worker sends first: the number of its process, which leads a group of what it starts."""

    pid: int


class _Queues:
    """A channel to the driver."""

    def __init__(self) -> None:
        self.incoming: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.outgoing: queue.Queue[Any] = queue.Queue(MOST_AT_ONCE)

    def send(self, message: Any) -> None:
        self.outgoing.put(message)

    def recv(self) -> Any:
        return self.incoming.get()


class WorkerActor:
    """Evaluates what its driver gives, and keeps messages for it until it listens.

    Ray calls the methods in threads of their own. The evaluator is loaded and used in one thread, as in a program
    without Ray: what libraries keep for each thread, such as the number of threads they use, stays.

    Args:
        evaluator: pickled by cloudpickle.
        place: among the workers of the executor.
        threads: how many torch, OpenMP and BLAS may use.
        answers: whether the driver answers reports.
        device: that Ray gives to this process; None where it gives none.
        paths: where the driver looks for modules; those of them that this node has are looked at last.
    """

    def __init__(
        self, evaluator: bytes, place: int, threads: int, answers: bool, device: str | None, paths: Sequence[str]
    ) -> None:
        sys.path += [path for path in paths if path not in sys.path and Path(path).is_dir()]
        self._channel = _Queues()
        self._channel.send(Started(os.getpid()))
        pickled = [evaluator]  # taken out when it is loaded: two copies of a supernet would be one too many

        def load() -> Evaluator:
            loaded: Evaluator = cloudpickle.loads(pickled.pop())
            return loaded

        guard.start()
        threading.Thread(target=_end_with_ray, daemon=True).start()
        threading.Thread(target=self._serve, args=(load, place, threads, answers, device), daemon=True).start()

    def _serve(self, *args: Any) -> None:
        try:
            serve(self._channel, *args)
        except BaseException:
            traceback.print_exc()
            os._exit(1)  # without this thread nothing would ever come of the trial

    def give(self, message: Any) -> None:
        """Take a task, or the answer to a report."""
        self._channel.incoming.put(message)

    def listen(self) -> list[Any]:
        """Wait for messages to the driver, and return all there are, up to a result."""
        found = [self._channel.outgoing.get()]
        with suppress(queue.Empty):
            while len(found) < MOST_AT_ONCE and not isinstance(found[-1], Done):
                found.append(self._channel.outgoing.get_nowait())
        return found


def _end_with_ray() -> None:
    """End this worker with all that it has started when the process that has started it is gone.

    Ray sees to it where that process lives, and else ends the worker alone.
    """
    guard.wait_for_parent()
    if os.getpgid(0) == os.getpid():  # Ray makes it so; another group would be somebody else's
        end_own_group()
    os._exit(1)
