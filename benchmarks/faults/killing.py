"""``kill -9`` of a search at random moments; it is begun again each time."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from autopanoptic.nas import Result, TrialState
from benchmarks.faults.count import Count
from benchmarks.faults.driver import search

ROOT = Path(__file__).parents[2]
TRIALS, SECONDS = 400, 0.005


def killed(folder: Path, kills: int, seed: int = 0) -> Count:
    """Kill a search of 400 trials so often, and return how many of the kills cost nothing.

    A kill is survived when every trial whose end the journal held before is there afterwards, with the same metrics,
    and is not evaluated again. At the end the trials must be those of a search that nobody has interrupted, or none
    counts.
    """
    journal, log = folder / "killed.jsonl", folder / "evaluations.txt"
    rng, survived, done, logged = random.Random(seed), 0, 0, 0
    known: dict[str, float] = {}
    while done < kills:
        finished = _run(journal, log, rng.uniform(0, 1.6 * TRIALS * SECONDS / kills))
        if finished:
            raise RuntimeError(f"The search ended before {kills} kills; there were {done}.")
        done += 1
        evaluated = log.read_text().split()[logged:] if log.exists() else []
        found = _completed(journal)
        survived += known.items() <= found.items() and not known.keys() & set(evaluated)
        known, logged = found, logged + len(evaluated)
    _run(journal, log, None)
    again = known.keys() & set(log.read_text().split()[logged:])
    alone = search(None).run(TRIALS, progress=False).history
    ended = Result.from_journal(journal).history
    same = [(t.architecture, t.metrics) for t in ended] == [(t.architecture, t.metrics) for t in alone]
    return Count(
        f"`kill -9` of the driver at a random moment of a search of {TRIALS} trials",
        "no recorded trial is lost or evaluated again, and the proposals are those of an uninterrupted search",
        kills,
        survived if same and not again else 0,
    )


def _run(journal: Path, log: Path, seconds: float | None) -> bool:
    """Run the search and kill it so many seconds after it has begun, or let it end; return whether it ended."""
    command = [sys.executable, "-m", "benchmarks.faults.driver", str(journal), str(log), str(TRIALS), str(SECONDS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("The search could not begin.")
        try:
            return process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            return False


def _completed(journal: Path) -> dict[str, float]:
    """Return the value of each completed trial by its architecture."""
    if not journal.exists() or not journal.read_bytes().count(b"\n"):
        return {}
    history = Result.from_journal(journal).history
    return {t.architecture.id: t.metrics["value"] for t in history if t.state is TrialState.COMPLETED}
