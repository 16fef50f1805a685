"""The journal of a search: an append-only file of JSON lines that survives a kill at any moment."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

from autopanoptic.nas.storage.lock import FileLock, LockedError


class JournalError(RuntimeError):
    """The journal's file is damaged, in use by another search, cannot be written, or belongs to another search."""


class Journal:
    """An append-only log of events, one JSON object a line.

    One writer at a time: the first :meth:`append` takes a lock (on a file beside it, ``<path>.lock``), :meth:`close`
    gives it back, in any thread. Each record is on the disk when :meth:`append` returns, and nothing of it is when it
    raises. A last line that a kill cut short is dropped. A process that is forked off does not share the lock.

    Args:
        path: the file; made, with its folder, by the first :meth:`append`. A relative one is taken from the folder in
            which the program is now, whatever the folder is later.

    Attributes:
        events: what the file held when it was opened, and what was appended since.

    Raises:
        JournalError: when the path is a folder, or a line other than the last is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self._lock = FileLock(Path(f"{self.path}.lock"))
        self._file: FileIO | None = None
        self.events, self._length = _read(self.path)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, event: Mapping[str, Any]) -> None:
        """Write one event to the disk.

        Raises:
            JournalError: when another search writes to this file, or has done so since it was read, or when the disk
                is full or gone. All earlier events are safe then, and the call may be repeated.
            TypeError: when the event holds what JSON has no words for.
            ValueError: when it holds NaN or infinity, of which the same is true.
        """
        line = json.dumps(dict(event), allow_nan=False).encode() + b"\n"
        try:
            _write(self._opened(), line)
        except OSError as problem:
            self._take_back()
            raise self._unwritable(problem) from problem
        except BaseException:
            self._take_back()
            raise
        self._length += len(line)
        self.events.append(dict(event))

    def acquire(self) -> None:
        """Take the lock now, which the next :meth:`append` would take.

        Raises:
            JournalError: as :meth:`append`.
        """
        try:
            self._opened()
        except OSError as problem:
            raise self._unwritable(problem) from problem

    def _opened(self) -> FileIO:
        if self._file is None or not self._lock.held:
            self._file = self._open()
        return self._file

    def _unwritable(self, problem: OSError) -> JournalError:
        return JournalError(
            f"{self.path} cannot be written: {problem}. All {len(self.events)} earlier events are safe; mend the "
            "cause and run the search again."
        )

    def _take_back(self) -> None:
        """Cut off what a failed write has left; the next writer does it where the disk does not let us."""
        if self._file is not None:
            with suppress(OSError):
                self._file.truncate(self._length)
        self.close()

    def _open(self) -> FileIO:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except LockedError as holder:
            raise JournalError(
                f"{self.path} is being written by another search, {holder}. Wait for it, or use another journal."
            ) from None
        try:
            return self._open_locked()
        except BaseException:
            self._lock.release()
            raise

    def _open_locked(self) -> FileIO:
        _, length = _read(self.path)
        if length != self._length:
            raise JournalError(f"{self.path} has changed since this search read it. Make the search again.")
        file = FileIO(self.path, "ab")
        file.truncate(length)
        return file

    def close(self) -> None:
        """Close the file and give back the lock; a later :meth:`append` takes it again."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            finally:
                self._lock.release()


def _write(file: FileIO, line: bytes) -> None:
    rest = memoryview(line)
    while rest:  # the system may take a part only
        rest = rest[file.write(rest) or 0 :]
    os.fsync(file.fileno())


def _read(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Return the events and the length in bytes of the lines that are whole."""
    if not path.exists():
        return [], 0
    if path.is_dir():
        within = ", ".join(str(file) for file in sorted(path.glob("*.jsonl")))
        raise JournalError(f"{path} is a folder. Name the journal itself{within and f': {within}'}.")
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    return [_parse(path, number, line) for number, line in enumerate(whole.splitlines(), 1)], len(whole)


def _parse(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError as error:
        remedy = "Is it a journal?" if number == 1 else "Restore the file or delete it."
        raise JournalError(f"{path}, line {number} is not JSON ({error}). {remedy}") from error
    if not isinstance(event, dict) or "event" not in event:
        raise JournalError(f"{path}, line {number} is not an event of a search: {event!r}.")
    return event
