"""Groups of processes: a worker leads one, so that it ends together with all that its evaluator has started."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess

PAUSE = 0.01
"""Seconds between two looks at processes that are ending."""
SECONDS_BETWEEN_LOOKS = 0.5
"""While a process imports, how often it looks whether its parent is there."""


def lead_group() -> None:
    """Make this process the leader of a session and group of its own, apart from the terminal's.

    What it starts from now on belongs to the group, unless it makes a session of its own.
    """
    if hasattr(os, "setsid"):
        os.setsid()


def end_own_group() -> None:
    """Kill this process's group and with it this process."""
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def end_with_parent(end: Callable[[], None] = lambda: os._exit(1)) -> None:
    """End this process when the one that has started it does, which may be killed: nobody would see what it does.

    Args:
        end: what ends it; called in a thread of its own.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        end()

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def ending_with_parent(parent: int) -> Iterator[None]:
    """End this process when its parent does, for as long as this lasts; without a thread, which would forbid to fork.

    Args:
        parent: the process that has started this one.
    """
    if not hasattr(signal, "setitimer"):  # Windows has none
        yield
        return

    def look(*_: object) -> None:
        if os.getppid() != parent:
            os._exit(1)

    former = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, SECONDS_BETWEEN_LOOKS, SECONDS_BETWEEN_LOOKS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def end_groups(leaders: Collection[BaseProcess], seconds: float) -> None:
    """End the groups of child processes: all are asked to end, and what is left of them after ``seconds`` is killed."""
    for leader in leaders:
        _signal(leader, kill=False)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(map(_lives, leaders)):
        time.sleep(PAUSE)
    for leader in leaders:
        kill_group(leader)
    # Killed processes end at once, but for those that hang in the system itself, on a network's disk for instance.
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline and any(leader.is_alive() for leader in leaders):
        time.sleep(PAUSE)


def kill_group(leader: BaseProcess) -> None:
    """Kill the group of a child process, whether or not the child itself has ended."""
    _signal(leader, kill=True)


def _signal(leader: BaseProcess, kill: bool) -> None:
    if leader.pid is None:
        return
    try:
        if hasattr(os, "killpg"):
            os.killpg(leader.pid, signal.SIGKILL if kill else signal.SIGTERM)
            return
    except (PermissionError, ProcessLookupError):  # nobody is left, or it has not come to lead a group
        pass
    if leader.is_alive():
        (leader.kill if kill else leader.terminate)()


def _lives(leader: BaseProcess) -> bool:
    """Whether the leader or anybody else of its group is alive."""
    if leader.is_alive():
        return True
    if not hasattr(os, "killpg") or leader.pid is None:
        return False
    try:
        os.killpg(leader.pid, 0)
    except (PermissionError, ProcessLookupError):
        return False
    return True
