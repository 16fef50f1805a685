"""``kill -9`` of a search at random moments; it is begun again each time."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from autopanoptic.nas import Result, TrialState
from benchmarks.faults.count import Count
from benchmarks.faults.driver import WORKERS, search
from benchmarks.scaling.simulated import SimulatedExecutor

ROOT = Path(__file__).parents[2]
TRIALS = 400
REACHED = 0.8
"""The part of the trials that has been begun by the last kill, if the driver took no time."""
EARLY = 0.2
"""The part of the kills that come while workers are starting."""
SECONDS_TO_START = 1.0
"""Early kills come within so many."""
PAUSE = 0.002


@dataclass(frozen=True)
class Kind:
    """Searches that are killed.

    Attributes:
        executor: of the search, as the driver knows it.
        workers: how many trials run at a time.
        seconds: that an evaluation takes.
        words: the executor, for the page.
    """

    executor: str
    workers: int
    seconds: float
    words: str


KINDS = {
    "inline": Kind("inline", 1, 0.005, ""),
    "processes": Kind("processes", WORKERS, 0.02, f" in {WORKERS} worker processes, `ordered=True`"),
    "ray": Kind("ray", WORKERS, 0.05, f" in {WORKERS} workers on Ray, `ordered=True`"),
}


def killed(folder: Path, kills: int, executor: str = "inline", seed: int = 0) -> Count:
    """Kill a search of 400 trials so often, and return how many of the kills cost nothing.

    A kill is survived when every trial whose end the journal held before is there afterwards, with the same metrics,
    and is not evaluated again. At the end the trials must be those of a search that nobody has interrupted, or none
    counts.

    Args:
        folder: for the journal.
        kills: how many.
        executor: one of ``KINDS``; "ray" is on the cluster of the environment variable ``RAY_ADDRESS``.
        seed: of the moments.

    Raises:
        RuntimeError: when the search ends before so many kills.
    """
    kind = KINDS[executor]
    run = _Run(kind, folder / "killed.jsonl", folder / "evaluations.txt")
    rng, survived = random.Random(seed), 0
    known: dict[str, float] = {}
    for done in range(kills):
        moment = rng.uniform(0, 2 * REACHED * TRIALS * kind.seconds / kind.workers / kills)
        early = kind.executor != "inline" and rng.random() < EARLY
        evaluated = run.until(rng.uniform(0, SECONDS_TO_START) if early else moment, begun=not early)
        if evaluated is None:
            raise RuntimeError(f"The search ended before {kills} kills; there were {done}.")
        found = _completed(run.journal)
        survived += known.items() <= found.items() and not known.keys() & evaluated
        known = found
    again = known.keys() & run.to_the_end()
    simulated = SimulatedExecutor(kind.workers, lambda trial_id: 1.0)
    alone = search(None, executor=simulated).run(TRIALS, progress=False).history
    ended = Result.from_journal(run.journal).history
    same = [(t.architecture, t.metrics) for t in ended] == [(t.architecture, t.metrics) for t in alone]
    return Count(
        f"`kill -9` of the driver at a random moment of a search of {TRIALS} trials{kind.words}",
        "no recorded trial is lost or evaluated again, and the proposals are those of an uninterrupted search",
        kills,
        survived if same and not again else 0,
    )


class _Run:
    """A search in a process of its own."""

    def __init__(self, kind: Kind, journal: Path, log: Path) -> None:
        self.journal, self._log, self._logged = journal, log, 0
        arguments = [str(journal), str(log), str(TRIALS), str(kind.seconds), kind.executor]
        self._command = [sys.executable, "-m", "benchmarks.faults.driver", *arguments]
        self._waits = kind.executor != "inline"

    def until(self, seconds: float, *, begun: bool) -> set[str] | None:
        """Run the search and kill it after so long; return what it has evaluated, None where it has ended before.

        Args:
            seconds: since it could begin.
            begun: whether the time is counted from its first evaluation, where others begin it.
        """
        with self._started() as process:
            while begun and self._waits and process.poll() is None and not self._new():
                time.sleep(PAUSE)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                return self._evaluated()
            if process.returncode:
                raise RuntimeError(f"The search failed with exit code {process.returncode}.")
            return None

    def to_the_end(self) -> set[str]:
        """Run the search to its end, and return what it has evaluated."""
        with self._started() as process:
            if process.wait():
                raise RuntimeError(f"The search failed with exit code {process.returncode}.")
        return self._evaluated()

    def _started(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("The search could not begin.")
        return process

    def _new(self) -> list[str]:
        return self._log.read_text().split()[self._logged :] if self._log.exists() else []

    def _evaluated(self) -> set[str]:
        new = self._new()
        self._logged += len(new)
        return set(new)


def _completed(journal: Path) -> dict[str, float]:
    """Return the value of each completed trial by its architecture."""
    if not journal.exists() or not journal.read_bytes().count(b"\n"):
        return {}
    history = Result.from_journal(journal).history
    return {t.architecture.id: t.metrics["value"] for t in history if t.state is TrialState.COMPLETED}
