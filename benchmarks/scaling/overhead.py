"""What a trial costs beside its evaluation, in this library and in others, one trial after another."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from unittest import mock

from autopanoptic.nas import RandomSearch, RegularizedEvolution, Search, Strategy
from benchmarks.scaling import peers
from benchmarks.scaling.utilisation import SPACE, score

Play: TypeAlias = Callable[[int, Path], None]
"""Runs a search of so many trials; may write into a folder."""


@dataclass(frozen=True)
class Contestant:
    """A way to run a search.

    Attributes:
        name: shown.
        play: runs it.
        most: trials at most, where more would take too long.
    """

    name: str
    play: Play
    most: int = 10_000


def ours(strategy: Strategy, *, journal: bool = True, synced: bool = True) -> Play:
    """Return a way to run this library's search.

    Args:
        strategy: of the search.
        journal: whether it writes one.
        synced: whether it waits for the disk.
    """

    def play(trials: int, folder: Path) -> None:
        search = Search(SPACE, strategy, score, journal=folder / "journal.jsonl" if journal else None)
        if synced:
            search.run(trials, progress=False)
            return
        with mock.patch("os.fsync", return_value=None):
            search.run(trials, progress=False)

    return play


def contestants() -> list[Contestant]:
    """Return those that are installed; the first is what ratios are of."""
    found = [
        Contestant("this library, random, journal without fsync", ours(RandomSearch(), synced=False)),
        Contestant("this library, random, in memory", ours(RandomSearch(), journal=False)),
        Contestant("this library, random, journal with fsync", ours(RandomSearch())),
        Contestant("this library, evolution, journal without fsync", ours(RegularizedEvolution(), synced=False)),
        Contestant("this library, evolution, journal with fsync", ours(RegularizedEvolution())),
    ]
    return [*found, *(Contestant(*one) for one in peers.installed())]


def measure(contestant: Contestant, trials: int) -> dict[str, Any]:
    """Return what a trial takes, in milliseconds of the processor and of the wall.

    Args:
        contestant: runs the search.
        trials: of the search, at most.
    """
    count = min(trials, contestant.most)
    with tempfile.TemporaryDirectory() as folder:
        wall, work = time.perf_counter(), time.process_time()
        contestant.play(count, Path(folder))
        wall, work = time.perf_counter() - wall, time.process_time() - work
    return {"name": contestant.name, "trials": count, "cpu_ms": work / count * 1e3, "wall_ms": wall / count * 1e3}
