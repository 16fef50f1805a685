"""Racing on simulated noise: what share of the work it saves, and how often it stops one of the best.

Run as ``python benchmarks/racing.py [--chunks 20 30 50] [--top 10] [--chunk-sd 5] [--sd 3] [--json FILE]``. Candidates
come one after another with normal true scores around 40; each is measured chunk by chunk, the chunks' scores being
normal around its own. A candidate belongs among the best when fewer than ``top`` earlier ones have better final scores.

With two objectives candidates also have a cost, which is known: from 1 to 8, evenly by its logarithm, and each doubling
gains ``--per-doubling`` points of score. One belongs among the best when fewer than ``top`` earlier candidates dominate
it; ``--tops-of-two`` says which are tried. The ratio is that of the share of work saved to the share lost of the
hypervolume of the completed candidates' front, above a score of 20 and below a cost of 8.
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
from autopanoptic.nas.trials.pareto import hypervolume
from autopanoptic.nas.trials.trial import reports_of

MEAN = 40.0
RANGE = (20.0, 60.0)
COSTS = (1.0, 8.0)
OBJECTIVES = (Objective("score"), Objective("cost", "min"))


@dataclass(frozen=True)
class Measured:
    """What a rule did in several searches."""

    objectives: int
    chunks: int
    rule: str
    saved: float
    lost: float
    belonging: int
    stopped_of_these: int

    @property
    def ratio(self) -> str:
        """Return the share of work saved over the share of hypervolume lost."""
        return f"{self.saved / self.lost:.0f}" if self.lost > 1e-9 else "inf"


@dataclass(frozen=True)
class Race:
    """What a rule did in one search: shares of chunks saved and of hypervolume lost, and how many it wronged."""

    saved: float
    lost: float
    belonging: int
    wrong: int


def costs(options: argparse.Namespace, seed: int) -> NDArray[np.float64]:
    """Return the candidates' costs, shape (candidates,)."""
    low, high = np.log2(COSTS)
    return np.asarray(2 ** np.random.default_rng([seed, 1]).uniform(low, high, options.candidates))


def scores(options: argparse.Namespace, chunks: int, seed: int, cost: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the candidates' scores of each chunk, shape (candidates, chunks)."""
    rng = np.random.default_rng(seed)
    gained = options.per_doubling * np.log2(cost / np.sqrt(np.prod(COSTS)))
    true = gained[:, None] + rng.normal(MEAN, options.sd, (options.candidates, 1))
    found = true + rng.normal(0, options.chunk_sd, (options.candidates, chunks))
    return np.clip(found, RANGE[0] + 1e-6, RANGE[1] - 1e-6)


def race(rule: Racing, found: NDArray[np.float64], cost: NDArray[np.float64] | None = None) -> Race:
    """Race candidates by their score, and by their cost as well where it is given."""
    means = found.cumsum(1) / np.arange(1, found.shape[1] + 1)
    history = replayed(rule, means, cost)
    finals = np.column_stack([means[:, -1], *([] if cost is None else [-cost])])
    belongs = [dominators(finals[:number], finals[number]) < rule.top for number in range(len(finals))]
    used = sum(len(trial.reports) for trial in history)
    wrong = sum(belongs[trial.id] for trial in history if trial.state is TrialState.STOPPED)
    worst = [RANGE[0], -COSTS[1]][: finals.shape[1]]
    kept = hypervolume([history.gains(trial) for trial in history.completed], worst)
    lost = max(1 - kept / hypervolume(finals, worst), 0.0)  # below 0 by rounding
    return Race(1 - used / means.size, lost, sum(belongs), wrong)


def replayed(rule: Racing, means: NDArray[np.float64], cost: NDArray[np.float64] | None = None) -> History:
    """Return the history of candidates that come one after another, each until the rule gives it up.

    Args:
        rule: Looks at each after every chunk.
        means: The score of the chunks so far, shape (candidates, chunks).
        cost: Of each, shape (candidates,), for a front of both; None for the score alone.
    """
    history = History(OBJECTIVES if cost is not None else OBJECTIVES[:1])
    known = [{}] * len(means) if cost is None else [{"cost": float(value)} for value in cost]
    for number, running in enumerate(means.tolist()):
        trial = Trial(number, Architecture({"candidate": number}), costs=known[number])
        history.add(trial)
        for step, mean in enumerate(running, 1):
            trial = replace(trial, reports=reports_of(trial.reports).followed_by(step, {"score": mean}))
            history.update(trial)
            if rule.should_stop(history, trial, step, trial.reports[-1][1]):
                history.update(replace(trial, state=TrialState.STOPPED))
                break
        else:
            metrics = {"score": running[-1], **known[number]}
            history.update(replace(trial, state=TrialState.COMPLETED, metrics=metrics))
    return history


def dominators(others: NDArray[np.float64], own: NDArray[np.float64]) -> int:
    """Return how many points, rows, are at least as good as another in everything, and better in something."""
    return int(((others >= own).all(1) & (others > own).any(1)).sum())


def rules(options: argparse.Namespace, chunks: int, objectives: int) -> dict[str, Racing]:
    """Return the rules to race."""
    found = {}
    for top in [options.top] if objectives == 1 else options.tops_of_two:
        found[f"{top}, normal"] = Racing(chunks, top=top)
        found[f"{top}, betting, 20 to 60"] = Racing(chunks, top=top, bound="betting", low=RANGE[0], high=RANGE[1])
        found[f"{top}, betting, 0 to 100"] = Racing(chunks, top=top, bound="betting", low=0, high=100)
        if objectives == 2:
            found[f"{top}, normal, by objectives"] = Racing(chunks, top=top, by="objectives")
    return found


def measure(options: argparse.Namespace, objectives: int) -> Iterator[Measured]:
    """Race every rule with every number of chunks."""
    for chunks in options.chunks:
        for name, rule in rules(options, chunks, objectives).items():
            found = []
            for seed in range(options.seeds):
                cost = costs(options, seed)
                found.append(race(rule, scores(options, chunks, seed, cost), cost if objectives == 2 else None))
            saved, lost = (float(np.mean([getattr(one, share) for one in found])) for share in ("saved", "lost"))
            belonging, wrong = sum(one.belonging for one in found), sum(one.wrong for one in found)
            yield Measured(objectives, chunks, name, saved, lost, belonging, wrong)


def main() -> None:
    """Print the table, and write it as JSON where a file is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, nargs="+", default=[20, 30, 50])
    parser.add_argument("--top", type=int, default=10)
    parser.add_argument("--tops-of-two", type=int, nargs="+", default=[1, 5], help="top with two objectives")
    parser.add_argument("--per-doubling", type=float, default=3.0, help="points of score for twice the cost")
    parser.add_argument("--sd", type=float, default=3.0, help="of the true scores")
    parser.add_argument("--chunk-sd", type=float, default=5.0, help="of a chunk's scores around the true one")
    parser.add_argument("--candidates", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = []
    for objectives in (1, 2):
        heads = ("chunks", "top, bound", "saved", "volume lost", "ratio", "belonged", "of these stopped")
        table = Table(*heads, title=f"Racing by {objectives} objective{'s'[: objectives - 1]}, error 5%")
        for row in measure(options, objectives):
            found.append(asdict(row))
            shares = (f"{row.saved:.0%}", f"{row.lost:.3%}", row.ratio)
            table.add_row(str(row.chunks), row.rule, *shares, str(row.belonging), str(row.stopped_of_these))
        Console().print(table)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
