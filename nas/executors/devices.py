"""CUDA devices for workers: which there are, and which worker has which; without torch."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Sequence
from typing import TypeAlias

Devices: TypeAlias = str | Sequence[str | int]
"""What a user gives: ``"cuda"``, or a device for each worker."""

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The variable by which a process is told of its devices, before it opens one."""
OWN = "cuda:0"
"""What a worker calls its device, the only one that it sees."""
NAMED = re.compile(r"(?:cuda:)?(\d+)")
UNIQUE = ("GPU-", "MIG-")
"""How the ids begin that NVIDIA's driver gives to devices; CUDA understands them, too."""


def devices_of(given: Devices, workers: int) -> tuple[str, ...]:
    """Return for each worker the value of ``CUDA_VISIBLE_DEVICES``.

    Args:
        given: ``"cuda"`` for the first of the devices that this process sees; or one for each worker, ``"cuda:1"`` or 1
            for the second that this process sees, or an id (``"GPU-..."``, ``"MIG-..."``). Workers may share one.
        workers: how many there are.

    Raises:
        ValueError: when there are too few devices, or one does not exist.
    """
    if isinstance(given, str):
        if given != "cuda":
            raise ValueError(f"devices is 'cuda' or a device for each worker, such as ['cuda:0', 1], not {given!r}.")
        given = range(workers)
        _check_enough(visible(), workers)
    if len(given) != workers:
        raise ValueError(
            f"devices has {len(given)} devices for {workers} workers. Name one for each; workers that shall share a "
            "device name the same."
        )
    return tuple(_name_of(device) for device in given)


def _check_enough(names: Sequence[str], workers: int) -> None:
    if len(names) < workers:
        mend = (
            f"Take {len(names)} workers, or name a device for each; workers that shall share one name the same, as in "
            "devices=[0, 0]."
            if names
            else "Leave devices out to compute on the CPU."
        )
        raise ValueError(
            f"{workers} workers need a device each, and this process sees {len(names)} ({_source()}). {mend}"
        )


def _name_of(device: str | int) -> str:
    text = str(device)
    if text.startswith(UNIQUE):
        return text
    match = NAMED.fullmatch(text)
    if match is None:
        raise ValueError(f"A device is named like 'cuda:1', 1 or 'GPU-...', not {device!r}.")
    names, number = visible(), int(match[1])
    if number >= len(names):
        raise ValueError(f"There is no device {device!r}: this process sees {len(names)} ({_source()}).")
    return names[number]


def visible() -> list[str]:
    """Return what CUDA calls the devices that this process sees, in CUDA's order."""
    given = os.environ.get(VISIBLE)
    if given is None:
        return [str(number) for number in range(_count())]
    names: list[str] = []
    for name in map(str.strip, given.split(",")):
        if not (name.isdigit() or name.startswith(UNIQUE)):  # CUDA sees nothing behind it, as behind -1
            break
        names.append(name)
    return names


def _source() -> str:
    given = os.environ.get(VISIBLE)
    return f"by {VISIBLE}={given!r}" if given is not None else f"of NVIDIA; for others set {VISIBLE}"


def _count() -> int:
    """Return how many devices NVIDIA's driver counts; 0 where there is no driver."""
    try:
        library = ctypes.CDLL("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
        if library.nvmlInit_v2():
            return 0
        found = ctypes.c_uint(0)
        failed = library.nvmlDeviceGetCount_v2(ctypes.byref(found))
        library.nvmlShutdown()
    except (AttributeError, OSError):
        return 0
    return 0 if failed else found.value
