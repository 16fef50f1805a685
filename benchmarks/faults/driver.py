"""A search to be killed; run as ``python -m benchmarks.faults.driver JOURNAL LOG TRIALS SECONDS``.

Each evaluation takes so many seconds, and begins with a line in the log.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from autopanoptic.nas import ASHA, Architecture, Choice, Context, RegularizedEvolution, Search, SearchSpace

SPACE = SearchSpace([Choice(f"c{index}", range(5)) for index in range(8)])


def score(architecture: Architecture) -> float:
    values = [int(option) for option in architecture.values()]
    return sum(value * (index % 3 - 1) for index, value in enumerate(values)) / 7


def search(journal: Path | None, evaluate: Callable[[Architecture], float] = score) -> Search:
    return Search(SPACE, RegularizedEvolution(4, 2), evaluate, journal=journal, seed=3)


def promoting(journal: Path | None) -> Search:
    """Return a search whose trials are paused and promoted."""
    return Search(SPACE, RegularizedEvolution(4, 2), score, journal=journal, seed=3, budget=ASHA(4, reduction=2))


def repeating(journal: Path | None) -> Search:
    """Return a search whose trials have several evaluations, and attributes."""

    def evaluate(architecture: Architecture, context: Context) -> float:
        context.set_attribute("seen", {"repeat": context.repeat, "why": ["a text", None, 0.5]})
        return score(architecture) + context.repeat

    return Search(SPACE, RegularizedEvolution(4, 2), evaluate, journal=journal, seed=3, repeats=3)


def main() -> None:
    journal, log, trials, seconds = sys.argv[1:]
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def evaluate(architecture: Architecture) -> float:
        os.write(handle, f"{architecture.id}\n".encode())
        time.sleep(float(seconds))
        return score(architecture)

    made = search(Path(journal), evaluate)
    print("ready", flush=True)
    made.run(int(trials), progress=False)


if __name__ == "__main__":
    main()
