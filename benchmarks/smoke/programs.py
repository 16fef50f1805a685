"""Programs that are watched, interrupted and killed, and what they leave behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

MARK = "AUTOPANOPTIC_SMOKE"
"""A variable of the environment by which all processes are known that a program has started."""
SECONDS_TO_END = 90.0
"""What others than the killed process have to end: those that it has just begun import all they need before they see
that it is gone, which takes long on a busy machine."""
COMMAND = (str(Path(sys.executable).with_name("autopanoptic")), "panoptic")


class Program:
    """A command of ``autopanoptic panoptic``, begun in a folder.

    Args:
        arguments: Of the command.
        folder: Where it works; what it prints is added to ``printed.txt`` there.
    """

    def __init__(self, arguments: Sequence[str], folder: Path) -> None:
        self.arguments = arguments
        self._mark = uuid.uuid4().hex
        self._log = folder / "printed.txt"
        self.begun = self._last = time.monotonic()
        self.headings: list[tuple[str, float]] = []
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=folder,
            env={**os.environ, MARK: self._mark, "PYTHONUNBUFFERED": "1", "COLUMNS": "100"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # As a terminal starts it: Ctrl-C comes to all of its group, and is not ignored.
            start_new_session=True,
            preexec_fn=_heed_interrupts,
        )
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._log.open("a") as log, self._process.stdout as lines:
            log.write(f"$ {' '.join(self.arguments)}\n")
            for line in lines:
                log.write(line)
                log.flush()
                with self._changed:
                    self._last = time.monotonic()
                    self.lines.append(line)
                    if line.rstrip().endswith("──"):
                        self.headings.append((line.rstrip("─ \n"), time.monotonic()))
                    self._changed.notify_all()

    def wait_for(self, heading: str | None) -> float | None:
        """Wait until a stage begins, and return when; None where the program ends before.

        A heading of None stands for the program's own beginning.
        """
        if heading is None:
            return self.begun
        with self._changed:
            while True:
                found = [when for name, when in self.headings if name == heading]
                if found:
                    return found[0]
                if not self._reader.is_alive():
                    return None
                self._changed.wait(0.1)

    def seconds_of(self, heading: str | None) -> float | None:
        """Wait until a stage has ended, and return how long it took; None where the program had no such stage.

        A heading of None stands for all of the program.
        """
        begun = self.wait_for(heading)
        while True:
            ended = not self._reader.is_alive()
            with self._changed:
                later = [when for _, when in self.headings if begun is not None and when > begun]
            if begun is None or (heading is not None and later):
                return None if begun is None else min(later) - begun
            if ended:
                return self._last - begun
            time.sleep(0.1)

    def ends_within(self, seconds: float) -> bool:
        """Whether it ends by itself before so many seconds have passed."""
        try:
            self._process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self) -> int:
        """Wait for the end, and return the exit code."""
        code = self._process.wait()
        self._reader.join(SECONDS_TO_END)  # what it leaves behind may still print
        return code

    def kill(self) -> int:
        """Kill the process that was started, and it alone, and return the exit code, 0 where it had just ended."""
        os.kill(self._process.pid, signal.SIGKILL)
        return self._process.wait()

    def interrupt(self) -> int:
        """Press Ctrl-C, and return the exit code."""
        os.killpg(self._process.pid, signal.SIGINT)
        return self.end()

    def left_over(self) -> list[str]:
        """Return the processes that are still there after a while, by their command lines."""
        deadline = time.monotonic() + SECONDS_TO_END
        while (left := self._alive()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return left

    def _alive(self) -> list[str]:
        return [found for path in Path("/proc").glob("[0-9]*") if (found := _marked(path, self._mark)) is not None]


def _heed_interrupts() -> None:
    """A shell has its background jobs ignore Ctrl-C, and they what they start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _marked(process: Path, mark: str) -> str | None:
    """Return the command line of a process that lives and has a mark."""
    try:
        if f"{MARK}={mark}".encode() not in (process / "environ").read_bytes().split(b"\0"):
            return None
        if (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return None
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:200]
    except OSError:  # it has ended meanwhile, or is another user's
        return None
