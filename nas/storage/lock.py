"""A lock on a file: held by one process of any number, and freed when that process ends.

The package filelock does not do: it empties the file at each attempt to lock it, so no holder can leave its name there,
and a child that is forked off keeps the lock of a parent that was killed, or frees it for a parent that lives.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from weakref import WeakSet

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCKED_BYTE = 1 << 30
"""Where Windows, which lets nobody read what is locked, locks a byte: far behind the holder's name."""


class LockedError(Exception):
    """Somebody else holds the lock; says who."""


class FileLock:
    """An advisory lock on a file, in which its holder writes its process id and host.

    Any thread may give it back. A process that is forked off while it is held does not inherit it, so it is free when
    its holder is killed, whatever children that leaves behind.

    Args:
        path: the file, made by the first :meth:`acquire`, in a folder that is there; it is never removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None
        _known.add(self)

    def acquire(self) -> None:
        """Take the lock, without waiting for it.

        Raises:
            LockedError: when another process, or another lock of this one, holds it.
            OSError: when the file cannot be opened or locked.
        """
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(handle)
            os.ftruncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
        except BlockingIOError:
            os.lseek(handle, 0, os.SEEK_SET)
            holder = os.read(handle, 1000).decode(errors="replace")
            os.close(handle)
            raise LockedError(holder or "an unnamed process") from None
        except BaseException:
            os.close(handle)
            raise
        self._handle = handle

    def release(self) -> None:
        """Give the lock back; without effect where it is not held."""
        handle, self._handle = self._handle, None
        if handle is not None:
            with suppress(OSError):  # the name is only for error messages
                os.ftruncate(handle, 0)
            _unlock(handle)
            os.close(handle)

    @property
    def held(self) -> bool:
        """Whether this process holds the lock."""
        return self._handle is not None

    def forget(self) -> None:
        """Leave the lock to the process that this one was forked from."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)


LOCK = ".lock"
"""File in a folder on which one program at a time works."""


@contextmanager
def working_on(folder: Path, lock: FileLock) -> Iterator[None]:
    """Keep other programs from a folder, which is made where it is not there.

    Raises:
        BlockingIOError: when another one works on it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire()
    except LockedError as holder:
        raise BlockingIOError(
            f"{folder} is being worked on by another program, {holder}; wait for it, or choose another name"
        ) from None
    try:
        yield
    finally:
        lock.release()


_known: WeakSet[FileLock] = WeakSet()


def _forget_all() -> None:
    for lock in list(_known):
        lock.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def _lock(handle: int) -> None:
    """Lock an open file; BlockingIOError when another has."""
    if sys.platform == "win32":
        os.lseek(handle, LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError as problem:
            raise BlockingIOError from problem
        os.lseek(handle, 0, os.SEEK_SET)
    else:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _unlock(handle: int) -> None:
    """Unlock at once, where a process that C code has forked off may keep the file open."""
    if sys.platform != "win32":
        fcntl.flock(handle, fcntl.LOCK_UN)
