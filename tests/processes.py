"""Looking at processes and at the files they write."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return not Path("/proc").exists() or Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextmanager
def ending(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Kill a process at the end: one that a failing test leaves behind would be waited for."""
    with process:
        try:
            yield process
        finally:
            process.kill()


def content(path: Path, seconds: float = 60) -> str:
    """Return what comes to be in a file."""
    end = time.monotonic() + seconds
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < end, f"nothing came to {path}"
        time.sleep(0.02)
    return path.read_text()


def wait_for_end(pids: list[int], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < end, f"{[pid for pid in pids if alive(pid)]} of {pids} are alive"
        time.sleep(0.05)
