"""A disk that is full at every single step of a training's checkpoints."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.faults.count import Count
from benchmarks.faults.killed_training import passes_of, read_state, same_bits
from benchmarks.faults.training import FINAL, train

CAUSE = "No space left on device"


class _Disk:
    """Takes so many steps, writes and renames of checkpoints and weights, and is full at the next.

    Args:
        steps: that it takes.
        part: of the write that fails, which still comes to it.
    """

    def __init__(self, steps: int, part: float) -> None:
        self.left, self.part = steps, part
        self.was_full = self.wrote = False
        self._write, self._replace = Path.write_bytes, os.replace

    def write(self, path: Path, data: Any) -> int:
        """Stand in for ``Path.write_bytes``."""
        if self._takes():
            return self._write(path, data)
        self.wrote = True
        self._write(path, bytes(data)[: int(len(data) * self.part)])
        raise OSError(errno.ENOSPC, CAUSE)

    def replace(self, source: Path, target: Path) -> None:
        """Stand in for ``os.replace``, which may need room for the folder."""
        if not self._takes():
            raise OSError(errno.ENOSPC, CAUSE, str(source), None, str(target))
        self._replace(source, target)

    def _takes(self) -> bool:
        self.left -= 1
        self.was_full = self.left < 0
        return not self.was_full

    @contextmanager
    def in_use(self) -> Iterator[None]:
        with (
            mock.patch.object(Path, "write_bytes", lambda path, data: self.write(path, data)),
            mock.patch.object(os, "replace", self.replace),
        ):
            yield


def full_in_training(folder: Path, passes: int = 30) -> Count:
    """Let the disk be full at each step of writing checkpoints and weights, and return how often nothing was lost.

    The training must end with an error that names the cause and the file, leave the last whole checkpoint and nothing
    half written, and go on later to the weights of an uninterrupted one.

    Args:
        folder: for the checkpoints.
        passes: of the training.
    """
    alone = _made(folder / "alone")
    train(alone, _Heard(), passes)
    faults = survived = 0
    for part in (0.0, 0.5):
        steps = 0
        while True:
            path = _made(folder / f"full-{part}-{steps}")
            disk, heard = _Disk(steps, part), _Heard()
            with disk.in_use():
                error = _error_of(path, heard, passes)
            if not disk.was_full:
                break
            steps += 1
            if part and not disk.wrote:
                continue  # a rename has no parts
            whole = passes_of(path) == heard.written and not list(path.glob("*new*")) + list(path.glob(".*"))
            train(path, _Heard(), passes)
            same = same_bits(read_state(path, FINAL), read_state(alone, FINAL))
            faults += 1
            survived += CAUSE in error and str(path) in error and whole and same
    return Count(
        "No space left on the disk (ENOSPC) at a write or a rename of a training's checkpoints and weights",
        "the training ends with an error that says so and names the file, the last whole checkpoint is there, and the "
        "training goes on later to the weights of an uninterrupted one",
        faults,
        survived,
    )


class _Heard:
    """Remembers after how many passes the last checkpoint was written."""

    def __init__(self) -> None:
        self.written = 0

    def __call__(self, kind: str, number: int, _: float) -> None:
        if kind == "written":
            self.written = number


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _error_of(folder: Path, heard: _Heard, passes: int) -> str:
    try:
        train(folder, heard, passes)
    except OSError as error:
        return str(error)
    return ""
