"""What a worker knows of itself: which of its executor's workers it is, and the device that it has been given."""

from __future__ import annotations


class _Place:
    """Of this process; None where it is no worker, or has no device."""

    number: int | None = None
    device: str | None = None


def set_place(number: int, device: str | None) -> None:
    """Say which of its executor's workers this process is, and which device it has been given."""
    _Place.number, _Place.device = number, device


def place_of_worker() -> int | None:
    """Return which of its executor's workers this process is, from 0; None in any other process.

    A worker that replaces one that has died has its place, so that no two workers use the same device at a time.
    """
    return _Place.number


def device_of_worker() -> str | None:
    """Return the device that the executor has given to this process, by the name that it has here.

    A worker sees its own devices alone, whichever executor it is of, and in all processes that it starts: its first is
    ``"cuda:0"``. An evaluation finds the same as ``context.device``; this is for what has no context, as an evaluator
    that loads its networks when it comes to the worker.

    Returns:
        None where the executor gives none, and in any process that is no worker: the device is the evaluator's choice.
    """
    return _Place.device
