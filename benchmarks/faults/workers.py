"""``kill -9`` of random workers of a search in which one evaluation in ten raises."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autopanoptic.nas import Architecture, Choice, RandomSearch, Search, SearchSpace, Trial, TrialState
from benchmarks.faults.count import Count
from benchmarks.faults.driver import EXECUTORS

SPACE = SearchSpace([Choice("a", range(10_000))])
SECONDS = 0.1
WORDS = {"processes": "process", "ray": "on Ray"}


class OneInTenRaises:
    """Takes a tenth of a second, and writes down in which process it is.

    Args:
        folder: gets a file for each process, named by its number.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, architecture: Architecture) -> float:
        """Return the architecture's number, unless that ends in 0."""
        (self.folder / str(os.getpid())).touch()
        time.sleep(SECONDS)
        number = int(architecture["a"])
        if number % 10 == 0:
            raise ArithmeticError(f"of {number}")
        return float(number)


def workers_killed(folder: Path, kills: int, executor: str, trials: int = 400, pause: float = 0.5) -> Count:
    """Kill a random worker so often, and return how many kills cost nothing.

    All trials must end, each once and as its architecture says, and every attempt that a kill has ended must be
    followed by another, or none counts.

    Args:
        folder: for the journal.
        kills: how many at most; those after the end of the search do not count.
        executor: "processes" or "ray".
        trials: of the search.
        pause: seconds between kills.
    """
    pids, journal = folder / "pids", folder / "workers.jsonl"
    pids.mkdir()
    search = Search(
        SPACE, RandomSearch(), OneInTenRaises(pids), executor=EXECUTORS[executor](), journal=journal, retries=kills
    )
    with _killing(pids, kills, pause) as killed:
        history = search.run(trials, progress=False).history
    events = Counter(json.loads(line)["event"] for line in journal.read_text().splitlines())
    whole = (
        len(history) == trials
        and all(map(_as_it_should, history))
        and events["died"] == events["restarted"] <= len(killed)
        and events["completed"] + events["failed"] == trials
    )
    return Count(
        f"`kill -9` of a random worker {WORDS[executor]} in a search of {trials} trials, of which one in ten raises",
        "every trial ends once, as its architecture says, and one whose worker was killed is run again",
        len(killed),
        len(killed) if whole else 0,
    )


def _as_it_should(trial: Trial) -> bool:
    number = int(trial.architecture["a"])
    if number % 10 == 0:
        return trial.state is TrialState.FAILED and f"ArithmeticError: of {number}" in (trial.error or "")
    return trial.state is TrialState.COMPLETED and trial.metrics["value"] == number


@contextmanager
def _killing(folder: Path, kills: int, pause: float) -> Iterator[list[int]]:
    """Kill workers in the block, and yield the list of those that were."""
    killed: list[int] = []
    over = threading.Event()

    def kill() -> None:
        rng = random.Random(0)
        while len(killed) < kills and not over.wait(pause):
            living = [number for number in map(int, os.listdir(folder)) if number not in killed]
            if living:
                number = rng.choice(living)
                try:
                    os.kill(number, signal.SIGKILL)
                except ProcessLookupError:  # after an error its executor has ended it
                    (folder / str(number)).unlink()
                    continue
                killed.append(number)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield killed
    finally:
        over.set()
        killer.join()
