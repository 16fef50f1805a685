"""A damaged journal is written anew, without what cannot be read."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from autopanoptic.nas.journals.mending import Mending
from autopanoptic.nas.storage.errors import JournalError
from autopanoptic.nas.storage.files import whole
from autopanoptic.nas.storage.lock import FileLock, LockedError


@dataclass(frozen=True)
class Repaired:
    """What a repair has done.

    Attributes:
        mending: what was wrong, and what is kept.
        path: the repaired journal; None where there was nothing to repair.
        backup: the journal as it was; None where it still stands in its place.
    """

    mending: Mending
    path: Path | None
    backup: Path | None


def repair(path: str | Path, copy: str | Path | None = None) -> Repaired:
    """Write a journal anew with all its whole records, each of which fits those before it.

    Where nothing is wrong, nothing is written.

    Args:
        path: the journal, to which no search may be writing. A backup of it is kept beside.
        copy: where the repaired journal is written instead; the journal itself stays as it is.

    Raises:
        FileNotFoundError: when there is no such journal.
        JournalError: when it cannot be read, a search is writing to it, its first line does not describe a search, or
            it is of another format.
        FileExistsError: when there is something at ``copy`` already.
        OSError: when the disk is full or gone; the journal is as it was then.
    """
    path = Path(path).resolve()  # of a link the file is repaired, which a search may be writing
    mending = Mending(path).to_the_end()
    if not mending.problems:
        return Repaired(mending, None, None)
    if copy is not None:
        return _copied(path, Path(copy))
    lock = FileLock(Path(f"{path}.lock"))
    try:
        lock.acquire()
    except LockedError as holder:
        raise JournalError(f"{path} is being written by a search, {holder}. End it first, or use --copy.") from None
    try:
        return _in_place(path)
    finally:
        lock.release()


def _copied(path: Path, copy: Path) -> Repaired:
    if copy.exists():
        raise FileExistsError(f"{copy} is there already. Give the repaired journal another name.")
    with whole(copy) as partial:
        return Repaired(_written(path, partial), copy, None)


def _in_place(path: Path) -> Repaired:
    backup = _free(path)
    with whole(path) as partial:
        mending = _written(path, partial)
        shutil.copymode(path, partial)
        with whole(backup) as half:
            shutil.copy2(path, half)
    return Repaired(mending, path, backup)


def _written(path: Path, partial: Path) -> Mending:
    mending = Mending(path)
    with partial.open("wb") as file:
        file.writelines(mending.lines())
        file.flush()
        os.fsync(file.fileno())
    return mending


def _free(path: Path) -> Path:
    """Return a name for the backup that no other has."""
    number = 1
    while (found := path.with_name(f"{path.name}.backup{number if number > 1 else ''}")).exists():
        number += 1
    return found
