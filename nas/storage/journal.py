"""The journal of a search: an append-only file of JSON lines that survives a kill at any moment."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any

from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.storage.errors import JournalError as JournalError
from autopanoptic.nas.storage.lock import FileLock, LockedError
from autopanoptic.nas.storage.reading import MORE, Event, Reading, parsed, plain


class Journal:
    """An append-only log of events, one JSON object a line.

    One writer at a time: the first :meth:`append` takes a lock (on a file beside it, ``<path>.lock``), :meth:`close`
    gives it back, in any thread. Each record is on the disk when :meth:`append` returns, or the block of
    :meth:`together` ends in which it was called, and nothing of it is when it raises. A last line that a kill cut short
    is dropped. A process that is forked off does not share the lock.

    The file is read once, when the journal is made; of its events no more than the first and the last stay in memory.

    Args:
        path: the file; made, with its folder, by the first :meth:`append`. A relative one is taken from the folder in
            which the program is now, whatever the folder is later. Or a :class:`Reading` of the file that has come to
            its end, which spares another one.

    Attributes:
        count: the number of events that the file held when it was opened, and of those appended since.
        last: the last of them; None where there is none.

    Raises:
        JournalError: when the path is a folder or cannot be read, or a line other than the last is damaged.
    """

    def __init__(self, path: str | Path | Reading) -> None:
        read = path if isinstance(path, Reading) else Reading(Path(path)).to_the_end()
        self.path = read.path.resolve()  # a link's file has one lock
        self._lock = FileLock(Path(f"{self.path}.lock"))
        self._file: FileIO | None = None
        self._gathers = self._owes = False  # waits for the disk are put off; there is one to be made up for
        self.count, self._length = read.count, read.length
        self.last = None if read.last is None else plain(read.last)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def reading(self, space: SearchSpace | None = None) -> Reading:
        """Return the events, to be read from the file one by one; faster where the space of the search is known."""
        return Reading(self.path, self._length, space)

    @property
    def events(self) -> list[Event]:
        """All events; the file is read again each time."""
        return list(self.reading())

    def append(self, event: Mapping[str, Any]) -> None:
        """Write one event to the disk.

        Raises:
            JournalError: when another search writes to this file, or has done so since it was read, or when the disk
                is full or gone. All earlier events are safe then, and the call may be repeated.
            TypeError: when the event holds what JSON has no words for.
            ValueError: when it holds NaN or infinity, of which the same is true.
        """
        self.append_together([event])

    def append_together(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Write several events of which a kill leaves all or none.

        Raises:
            JournalError, TypeError, ValueError: as :meth:`append`; none of them is written then.
        """
        marked = [*({**event, MORE: True} for event in events[:-1]), *events[-1:]]
        lines = b"".join(json.dumps(dict(event), allow_nan=False).encode() + b"\n" for event in marked)
        try:
            _write(self._opened(), lines)
            self._owes = True
            if not self._gathers:
                self._sync()
        except OSError as problem:
            self._take_back()
            raise self._unwritable(problem) from problem
        except BaseException:
            self._take_back()
            raise
        self._length += len(lines)
        self.count += len(marked)
        self.last = dict(marked[-1]) if marked else self.last

    @contextmanager
    def together(self) -> Iterator[None]:
        """Wait for the disk once for all that is appended in the block, at its end.

        Each record is the system's when its :meth:`append` returns, so that a kill of the program loses none; a loss
        of power may take those of the block.

        A block within another is a part of it.

        Raises:
            JournalError: when the disk fails at the end of the block.
        """
        if self._gathers:
            yield
            return
        self._gathers = True
        try:
            yield
        finally:
            self._gathers = False
            try:
                self._sync()
            except OSError as problem:
                raise self._unwritable(problem) from problem

    def _sync(self) -> None:
        if self._owes and self._file is not None:
            os.fsync(self._file.fileno())
        self._owes = False

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
            f"{self.path} cannot be written: {problem}. All {self.count} earlier events are safe; mend the "
            "cause and run the search again."
        )

    def _take_back(self) -> None:
        """Cut off what a failed write has left; the next writer does it where the disk does not let us."""
        if self._file is not None:
            with suppress(OSError):
                self._file.truncate(self._length)
                if self._gathers:
                    self._sync()
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
        size = self.path.stat().st_size if self.path.exists() else 0
        if size < self._length or (size > self._length and not self._is_left_by_a_kill()):
            raise JournalError(f"{self.path} has changed since this search read it. Make the search again.")
        file = FileIO(self.path, "ab")
        file.truncate(self._length)
        return file

    def _is_left_by_a_kill(self) -> bool:
        """Whether what stands behind the last event is the beginning of a line or of a group."""
        with self.path.open("rb") as file:
            file.seek(self._length)
            return all(_has_more(line) for line in file if line.endswith(b"\n"))

    def close(self) -> None:
        """Close the file and give back the lock; a later :meth:`append` takes it again."""
        file, self._file, self._owes = self._file, None, False
        if file is not None:
            try:
                file.close()
            finally:
                self._lock.release()


def reading_of(journal: str | Path | Journal | None, space: SearchSpace | None = None) -> Reading | None:
    """Return the events of a journal, to be read from its file one by one; None where there is no journal."""
    if journal is None:
        return None
    return journal.reading(space) if isinstance(journal, Journal) else Reading(Path(journal).absolute(), space=space)


def _has_more(line: bytes) -> bool:
    try:
        return parsed(line, "it", remedy="").get(MORE) is True
    except JournalError:
        return False


def _write(file: FileIO, line: bytes) -> None:
    rest = memoryview(line)
    while rest:  # the system may take a part only
        rest = rest[file.write(rest) or 0 :]
