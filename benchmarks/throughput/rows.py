"""The rows of a device's file: measured one after the other, each kept at once, within a limit of time."""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Run = Callable[[str, int, float | None], Row]
"""Measures a network with batches of so many images, within so many seconds; TimeoutError beyond them."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What a file's rows have in common.

    Attributes:
        size: Height and width of the images.
        precision: Of `autopanoptic.panoptic.model.precision.PRECISIONS`.
        steps: Measured of each kind in a round; their median counts.
        warmup: Steps of each kind before these.
        rounds: In which the networks take turns.
    """

    size: tuple[int, int]
    precision: str
    steps: int
    warmup: int
    rounds: int


class RowFile:
    """The file of a device, a size and a precision.

    Args:
        path: Of the file; what it holds of the same plan is kept.
        plan: What all rows have in common.
        where: The device and the versions.

    Raises:
        ValueError: If the file holds rows of another plan or other versions.
    """

    def __init__(self, path: Path, plan: Plan, where: dict[str, Any]) -> None:
        self.path = path
        self._head: dict[str, Any] = {**where, **json.loads(json.dumps(asdict(plan)))}
        self._rounds = plan.rounds
        self.taken: dict[str, dict[str, list[Row]]] = self._read()

    def _read(self) -> dict[str, dict[str, list[Row]]]:
        found = json.loads(self.path.read_text()) if self.path.exists() else {}
        if "taken" not in found:
            return {}
        other = [f"{key} was {found.get(key)!r}, and is {value!r}" for key, value in self._head.items()
                 if found.get(key) != value]  # fmt: skip
        if other:
            raise ValueError(f"{self.path} holds other rows ({'; '.join(other)}): --again measures all of them anew")
        taken: dict[str, dict[str, list[Row]]] = found["taken"]
        return taken

    def missing(self, names: Sequence[str], batches: Sequence[int]) -> Iterator[tuple[str, int]]:
        """Yield what is to be measured, in order: batch by batch, and in each the networks in turns."""
        for batch in batches:
            for turn in range(self._rounds):
                for name in names:
                    if len(self.taken.get(str(batch), {}).get(name, [])) <= turn:
                        yield name, batch

    def add(self, name: str, batch: int, row: Row) -> None:
        """Keep a row, in the file too, which is whole at any moment."""
        self.taken.setdefault(str(batch), {}).setdefault(name, []).append(row)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(self.content(), indent=1) + "\n")
        os.replace(partial, self.path)

    def content(self) -> dict[str, Any]:
        """Return the file's content: all rounds of each row, and their medians."""
        batches = {batch: {name: over_rounds(rows) for name, rows in each.items()}
                   for batch, each in self.taken.items()}  # fmt: skip
        return {**self._head, "batches": batches, "taken": self.taken}


def fill(
    file: RowFile, names: Sequence[str], batches: Sequence[int], run: Run, seconds: float | None, say: Say
) -> list[str]:
    """Measure what is missing in a file, and return what still is, with the reason.

    A row that fails does not keep the others from being measured. One is not begun where it would end beyond the limit,
    as far as the longest one before says, and is broken off there.

    Args:
        file: Gets the rows.
        names: Of the networks.
        batches: Images in a batch.
        run: Measures a row.
        seconds: For all of it, None for any time.
        say: Is told of each row.
    """
    begun, longest, left_out = time.monotonic(), 0.0, []
    for name, batch in list(file.missing(names, batches)):
        start = time.monotonic()
        left = None if seconds is None else seconds - (start - begun)
        if left is not None and left <= longest:
            left_out.append(f"{name}, batches of {batch}: no time left")
            continue
        try:
            row = run(name, batch, left)
        except TimeoutError:
            left_out.append(f"{name}, batches of {batch}: no time left")
            continue
        except Exception as error:
            left_out.append(f"{name}, batches of {batch}: {type(error).__name__}: {error}")
            continue
        longest = max(longest, time.monotonic() - start)
        file.add(name, batch, row)
        say(f"{name}, batches of {batch}: {time.monotonic() - start:.0f} s")
    return left_out


def in_a_process(work: Callable[..., Row], arguments: Sequence[Any], seconds: float | None) -> Row:
    """Return what a function gives in a new process, so that memory is its own.

    Raises:
        TimeoutError: If it takes more than so many seconds; the process is killed then.
        RuntimeError: If it fails there or the process ends without a word, as for want of memory.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, work, arguments))
    process.start()
    sender.close()
    try:
        if not receiver.poll(seconds):
            raise TimeoutError
        row, problem = receiver.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"its process ended with {process.exitcode}") from None
    finally:
        process.kill()
        process.join()
    if problem is not None:
        raise RuntimeError(problem)
    found: Row = row
    return found


def _send(sender: Connection, work: Callable[..., Row], arguments: Sequence[Any]) -> None:
    try:
        sender.send((work(*arguments), None))
    except Exception as error:
        sender.send((None, f"{type(error).__name__}: {error}"))


def over_rounds(rows: Sequence[Row]) -> Row:
    """The median of the rounds' speeds, their range, and the most memory."""
    found = {}
    for kind in rows[0]:
        rates = [row[kind]["images_per_second"] for row in rows]
        found[kind] = {
            "gflops": rows[0][kind]["gflops"], "images_per_second": statistics.median(rates), "slowest": min(rates),
            "fastest": max(rates), "memory": max(row[kind]["memory"] for row in rows),
        }  # fmt: skip
    return found
