"""``kill -9`` of a supernet's training at random moments, also while it writes a checkpoint; it goes on each time."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Iterator
from itertools import pairwise
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from autopanoptic.panoptic.training.checkpoints import LAST, newest_checkpoint
from benchmarks.faults import training
from benchmarks.faults.count import Count
from benchmarks.faults.training import EVERY, FINAL, PASSES

REACHED = 0.8
"""The part of the passes in which the kills come, so that the training is never at its end before the last."""
IN_WRITES = 0.5
"""The part of the kills that wait for a checkpoint to be begun."""


def training_killed(folder: Path, kills: int, seed: int = 0) -> Count:
    """Kill a supernet's training so often, and return how many of the kills cost no more than the passes since.

    A kill is survived when the newest checkpoint is whole and is the last that was written, or one that was being
    written, and when the training goes on behind it. At the end weights, the optimizer's moments and the schedule must
    have the bits of the training that nobody has interrupted, or none counts.

    Args:
        folder: for the checkpoints.
        kills: how many.
        seed: of the moments.

    Raises:
        RuntimeError: when the training ends before so many kills, or fails.
    """
    alone, killed = folder / "alone", folder / "killed"
    for path in (alone, killed):
        path.mkdir()
    seconds = _seconds(list(_Run(alone).to_the_end()))
    rng, survived, in_writes, stands = random.Random(seed), 0, 0, 0
    for done, passes in enumerate(sorted(rng.uniform(0, REACHED * PASSES) for _ in range(kills))):
        said = _Run(killed).until(passes, seconds, rng)
        if said is None:
            raise RuntimeError(f"The training ended before {kills} kills; there were {done}.")
        goes_on = next((number for kind, number, _ in said if kind == "pass"), stands + 1) == stands + 1
        written = max([stands, *(number for kind, number, _ in said if kind == "written")])
        writing = [number for kind, number, _ in said if kind == "writing"]
        in_writes += bool(writing) and writing[-1] > written
        found = passes_of(killed)
        survived += goes_on and found in {written, *writing[-1:]}
        stands = found
    rest = list(_Run(killed).to_the_end())
    same = rest[0][1] == stands + 1 and all(
        same_bits(read_state(alone, name), read_state(killed, name)) for name in (FINAL, LAST)
    )
    return Count(
        f"`kill -9` of a supernet's training at a random moment of {PASSES} passes with a checkpoint every {EVERY}, "
        f"{in_writes} times while one was written",
        "the last whole checkpoint is there and the training goes on behind it, to weights, moments of the optimizer "
        "and a schedule that are bit for bit those of an uninterrupted training (on a CPU)",
        kills,
        survived if same else 0,
    )


Said = tuple[str, int, float]
"""Of :data:`benchmarks.faults.training.Say`."""


class _Run:
    """A training in a process of its own, forked from one that has imported what it needs."""

    def __init__(self, folder: Path) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([training.__name__])
        self._connection, theirs = context.Pipe(duplex=False)
        self._process: BaseProcess = context.Process(target=training.train_and_tell, args=(folder, theirs))
        self._process.start()
        theirs.close()

    def until(self, passes: float, seconds: dict[str, float], rng: random.Random) -> list[Said] | None:
        """Kill it after so many passes, now and then in the next write; return what it has said.

        Args:
            passes: of the whole training; the kill comes at once where it has gone on behind them.
            seconds: that a pass and the writing of a checkpoint take.
            rng: of the moments.

        Returns:
            None where it has ended before.
        """
        kind, said = "writing" if rng.random() < IN_WRITES else "pass", []
        for each in _heard(self._connection):
            said.append(each)
            if each[0] == kind and each[1] >= passes:
                time.sleep(rng.uniform(0, seconds[kind]))
                break
        self._process.kill()
        said += _heard(self._connection)
        self._process.join()
        return None if self._process.exitcode == 0 else self._checked(said, killed=True)

    def to_the_end(self) -> list[Said]:
        """Let it end, and return what it has said."""
        said = list(_heard(self._connection))
        self._process.join()
        return self._checked(said, killed=False)

    def _checked(self, said: list[Said], *, killed: bool) -> list[Said]:
        code = self._process.exitcode
        if code != (-9 if killed else 0):
            raise RuntimeError(f"The training failed with exit code {code}.")
        return said


def _heard(connection: Connection) -> Iterator[Said]:
    try:
        while True:
            yield connection.recv()
    except EOFError:
        return


def _seconds(said: list[Said]) -> dict[str, float]:
    """Return how long a pass and the writing of a checkpoint take, on average."""
    found: dict[str, list[float]] = {"pass": [], "writing": []}
    for (before, _, begun), (after, _, ended) in pairwise(said):
        if (before, after) in {("pass", "pass"), ("writing", "written")}:
            found[before].append(ended - begun)
    return {kind: sum(each) / len(each) for kind, each in found.items()}


def passes_of(folder: Path) -> int:
    """Return after how many passes the newest whole checkpoint was written."""
    newest = newest_checkpoint(folder)
    return 0 if newest is None else int(read_state(folder, newest.name)["state_dict"]["passes"])


def read_state(folder: Path, name: str) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(folder / name, weights_only=True)
    kept = ("state_dict", "optimizer_states", "lr_schedulers")
    return {key: state[key] for key in kept} if kept[0] in state else state


def same_bits(one: Any, other: Any) -> bool:
    """Return whether two states have the same bits."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.numpy().tobytes() == other.numpy().tobytes()
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_bits(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same_bits, one, other))
    return bool(one == other)
