"""Racing on simulated noise: what share of the work it saves, and how often it stops one of the best.

Run as ``python benchmarks/racing.py [--chunks 20 30 50] [--top 10] [--chunk-sd 5] [--sd 3] [--json FILE]``. Candidates
come one after another with normal true scores around 40; each is measured chunk by chunk, the chunks' scores being
normal around its own. A candidate belongs among the best when its final score is one of the ``top`` best until then.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from autopanoptic.nas import Architecture, History, Objective, Racing, Trial, TrialState

MEAN = 40.0
RANGE = (20.0, 60.0)


@dataclass(frozen=True)
class Measured:
    """What a rule did in several searches."""

    chunks: int
    rule: str
    saved: float
    belonging: int
    stopped_of_these: int


def scores(options: argparse.Namespace, chunks: int, seed: int) -> NDArray[np.float64]:
    """Return the candidates' scores of each chunk, shape (candidates, chunks)."""
    rng = np.random.default_rng(seed)
    true = rng.normal(MEAN, options.sd, (options.candidates, 1))
    found = true + rng.normal(0, options.chunk_sd, (options.candidates, chunks))
    return np.clip(found, RANGE[0] + 1e-6, RANGE[1] - 1e-6)


def race(rule: Racing, found: NDArray[np.float64]) -> tuple[float, int, int]:
    """Return the share of chunks saved, how many candidates belonged among the best, and how many of these stopped."""
    history = History([Objective("score")])
    means = found.cumsum(1) / np.arange(1, found.shape[1] + 1)
    used = belonging = wrong = 0
    for number, running in enumerate(means):
        trial = Trial(number, Architecture({"candidate": number}))
        best = [other.metrics["score"] for other in history.ranked()[: rule.top]]
        belongs = len(best) < rule.top or running[-1] >= best[-1]
        history.add(trial)
        for step, mean in enumerate(running.tolist(), 1):
            used += 1
            trial = replace(trial, reports=(*trial.reports, (step, {"score": mean})))
            history.update(trial)
            if rule.should_stop(history, trial, step, trial.reports[-1][1]):
                history.update(replace(trial, state=TrialState.STOPPED))
                wrong += belongs
                break
        else:
            history.update(replace(trial, state=TrialState.COMPLETED, metrics={"score": float(running[-1])}))
        belonging += belongs
    return 1 - used / means.size, belonging, wrong


def measure(options: argparse.Namespace) -> Iterator[Measured]:
    """Race every rule with every number of chunks."""
    for chunks in options.chunks:
        rules = {
            "normal": Racing(chunks, top=options.top),
            "betting, 20 to 60": Racing(chunks, top=options.top, bound="betting", low=RANGE[0], high=RANGE[1]),
            "betting, 0 to 100": Racing(chunks, top=options.top, bound="betting", low=0, high=100),
        }
        for name, rule in rules.items():
            races = [race(rule, scores(options, chunks, seed)) for seed in range(options.seeds)]
            saved, belonging, wrong = (np.array(values) for values in zip(*races, strict=True))
            yield Measured(chunks, name, float(saved.mean()), int(belonging.sum()), int(wrong.sum()))


def main() -> None:
    """Print the table, and write it as JSON where a file is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, nargs="+", default=[20, 30, 50])
    parser.add_argument("--top", type=int, default=10)
    parser.add_argument("--sd", type=float, default=3.0, help="of the true scores")
    parser.add_argument("--chunk-sd", type=float, default=5.0, help="of a chunk's scores around the true one")
    parser.add_argument("--candidates", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    table = Table("chunks", "bound", "saved", "belonged", "stopped of these", title="Racing, error 5%")
    found = []
    for row in measure(options):
        found.append(asdict(row))
        table.add_row(str(row.chunks), row.rule, f"{row.saved:.0%}", str(row.belonging), str(row.stopped_of_these))
    Console().print(table)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
