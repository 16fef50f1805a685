"""Ends what a worker has started when the worker itself is killed; a program of its own, which imports next to nothing.

Ray kills the processes of workers, at times before these can end what they have started.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time

SECONDS_BETWEEN_LOOKS = 0.2
"""Where a process cannot be waited for."""


def start() -> None:
    """Have this process's group end with this process, if it leads one: another would be somebody else's."""
    if hasattr(os, "killpg") and os.getpgid(0) == os.getpid():
        subprocess.Popen(
            [sys.executable, "-IS", __file__, str(os.getpid())],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip


def wait_for_parent(pid: int) -> None:
    """Return when the process that has started this one, of number ``pid``, has ended."""
    try:
        handle = os.pidfd_open(pid)
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.poll()
    except ProcessLookupError:
        return
    except (AttributeError, OSError):  # another system than Linux, or an old one
        while os.getppid() == pid:
            time.sleep(SECONDS_BETWEEN_LOOKS)


if __name__ == "__main__":
    wait_for_parent(int(sys.argv[1]))
    os.killpg(0, signal.SIGKILL)
