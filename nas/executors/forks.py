"""Whether this process may be forked.

A fork copies the calling thread alone: locks that other threads hold stay locked, and OpenMP waits for threads that are
not there. A device's driver does not survive it. And an open file or connection is shared with its position: several
processes that read it get each other's bytes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from pathlib import Path

HARMLESS = ("/dev/null", "/dev/random", "/dev/shm/", "/dev/tty", "/dev/urandom", "/memfd:")
STANDARD = {0, 1, 2}
"""Input, output and errors, which processes share in any case."""


def why_not_fork(own: Collection[int]) -> str | None:
    """Return why this process must not be forked, after what it has imported; None when it may be.

    Args:
        own: the descriptors of sockets that forked processes know to close.
    """
    if sys.platform != "linux":
        return f"forks are not safe on {sys.platform}"
    threads = len(os.listdir("/proc/self/task")) - 1
    if threads:
        return f"the program, or a module that the evaluator needs, starts {threads} thread(s) while it is imported"
    descriptors = {int(name) for name in os.listdir("/proc/self/fd")} - {*own, *STANDARD}
    opened = next(filter(None, map(_shared, sorted(descriptors))), "")
    return f"the program, or a module that the evaluator needs, opens {opened} while it is imported" if opened else None


def _shared(descriptor: int) -> str:
    """Return what a descriptor is of, where processes must not share that."""
    import fcntl  # Windows has none

    try:
        target = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND:  # a log: it is always written to at its end
            return ""
    except OSError:  # of the listing itself
        return ""
    return target if target.startswith(("/", "socket:")) and not target.startswith(HARMLESS) else ""
