"""A disk that is full at every single write of a search."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any
from unittest import mock

from autopanoptic.nas import Journal, JournalError, Result
from autopanoptic.nas.storage import journal as journal_module
from benchmarks.faults.count import Count
from benchmarks.faults.driver import search


class Disk:
    """Takes so many writes; of the next one it takes a part, if that, and then it is full."""

    def __init__(self, writes: int, part: float) -> None:
        self.left, self.part = writes, part
        self.was_full = False

    def open(self, disk: Disk, path: Path, mode: str) -> FileIO:
        """Return a file on this disk."""

        class File(FileIO):
            def write(self, data: Any) -> int:
                if disk.left > 0:
                    disk.left -= 1
                    return super().write(data)
                disk.was_full = True
                super().write(bytes(data)[: int(len(data) * disk.part)])
                raise OSError(errno.ENOSPC, "No space left on device")

        return File(path, mode)


@contextmanager
def full_after(writes: int, part: float) -> Iterator[Disk]:
    disk = Disk(writes, part)
    with mock.patch.object(journal_module, "FileIO", lambda path, mode: disk.open(disk, path, mode)):
        yield disk


def full(folder: Path, trials: int = 10) -> Count:
    """Let the disk be full at each write of a search in turn, and return how often nothing whole was lost by it.

    The search must end with an error that names the cause, the journal must hold all that was written before, and the
    search made again must end as an uninterrupted one.
    """
    alone = [trial.architecture for trial in search(None).run(trials, progress=False).history]
    faults = survived = 0
    for part in (0.0, 0.5):
        writes = 0
        while True:
            path = folder / f"full-{part}-{writes}.jsonl"
            with full_after(writes, part) as disk:
                error = _error_of(path, trials)
            if not disk.was_full:
                break
            kept = Journal(path).count == writes
            search(path).run(trials, progress=False)
            same = [trial.architecture for trial in Result.from_journal(path).history] == alone
            faults, writes = faults + 1, writes + 1
            survived += "No space left on device" in error and kept and same
    return Count(
        "No space left on the disk (ENOSPC) at a write of a search",
        "the search ends with an error that says so, nothing written before is lost, and the search goes on later",
        faults,
        survived,
    )


def _error_of(path: Path, trials: int) -> str:
    try:
        search(path).run(trials, progress=False)
    except JournalError as error:
        return str(error)
    return ""
