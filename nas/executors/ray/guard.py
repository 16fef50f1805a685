"""Ends what a worker has started when the worker itself is killed; a program of its own, which imports next to nothing.

Ray kills the processes of workers, at times before these can end what they have started. A worker that Ray ends kills
its own children, but not theirs (Ray's documentation, Lifetimes of a User-Spawn Process); so this program is nobody's
child: what has started it ends at once.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable

SECONDS_BETWEEN_LOOKS = 0.2
"""Where a process cannot be waited for."""


def start() -> None:
    """Have this process's group end with this process, if it leads one: another would be somebody else's.

    Raises:
        CalledProcessError: If the program that sees to it does not start.
    """
    if hasattr(os, "killpg") and os.getpgid(0) == os.getpid():
        subprocess.run(
            [sys.executable, "-IS", __file__, str(os.getpid())],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True,
        )  # fmt: skip


def wait_for_parent() -> None:
    """Return when the process that has started this one has ended."""
    parent = os.getppid()
    _wait_for(parent, lambda: os.getppid() != parent)


def _wait_for(pid: int, ended: Callable[[], bool]) -> None:
    try:
        handle = os.pidfd_open(pid)
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.poll()
    except ProcessLookupError:
        return
    except (AttributeError, OSError):  # another system than Linux, or an old one
        while not ended():
            time.sleep(SECONDS_BETWEEN_LOOKS)


def _is_gone(leader: int) -> bool:
    """Whether the leader of this group has ended; while anybody is in the group, nobody else gets its number.

    One that has ended counts as there until its parent has waited for it, which the first process of a system does
    for orphans.
    """
    try:
        os.kill(leader, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it is there, of another user
        pass
    return False


if __name__ == "__main__":
    worker = int(sys.argv[1])
    if os.fork():
        os._exit(0)
    _wait_for(worker, lambda: _is_gone(worker))
    os.killpg(0, signal.SIGKILL)
