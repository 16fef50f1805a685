"""How many epochs schedules of budgets need for what random search finds with full trainings.

Run as ``python -m benchmarks.budgets [--table nasbench201.npz] [--full 100] [--seeds 20] [--json FILE]``. Everybody
gets the same number of epochs, enough for ``--full`` full trainings, and evaluates in one process. The target is what
random search with full trainings has found at the end, the median over the seeds. The table tells after how many
epochs, on average over the seeds, a contestant has trained an architecture in full that is at least as good (all its
epochs where it has not), the ratio of random search's epochs to these, and the best at the end.

Without a table the curves are made up: architectures of 8 choices of 5 options have final accuracies and speeds of
learning that are not related to each other, and noise. With one of NAS-Bench-201 they go through what was measured
after 12 epochs and after 200 (one run each, CIFAR-10's validation half) by a power law of the number of epochs: between
these two, and below, they are made up as well. 12 and 200 epochs are trainings of their own there, with learning rates
that end at 0.

Optuna's ``SuccessiveHalvingPruner`` (with its random sampler) and Ray Tune's ``AsyncHyperBandScheduler`` take part
where they are installed. Both end trials where ours are paused. Of Ray Tune only the rule that decides is run, in the
order in which one worker reports, as its own processes would take longer than all epochs here.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from autopanoptic.nas import (
    ASHA,
    Architecture,
    Choice,
    Hyperband,
    RandomSearch,
    RegularizedEvolution,
    Schedule,
    Search,
    SearchSpace,
    Strategy,
)
from benchmarks.strategies.npz import load

FIRST, FULL, REDUCTION = 12, 200, 3
RUNGS = (12, 36, 108)


@dataclass(frozen=True)
class Curves:
    """A space with the accuracy, in percent, of every architecture after any number of epochs."""

    space: SearchSpace
    accuracy: Callable[[Architecture, int], float]


def made_up() -> Curves:
    """Return curves without a table."""
    space = SearchSpace(Choice(f"c{n}", range(5)) for n in range(8))
    parts = np.random.default_rng(0).exponential(1.0, (8, 5))

    def accuracy(architecture: Architecture, epochs: int) -> float:
        options = [int(option) for option in architecture.values()]
        final = 95 - float(parts[np.arange(8), options].sum())
        own = np.random.default_rng(options)
        speed = own.uniform(0.4, 1.0)
        noise = np.random.default_rng([*options, epochs]).normal(0, 0.2)
        return float(final - (final - 10) * (1 + epochs) ** -speed + noise)

    return Curves(space, accuracy)


def of_table(path: Path) -> Curves:
    """Return the curves of NAS-Bench-201's CIFAR-10."""
    table = load(path)
    early, late = table.column("val12/cifar10"), table.column("val200_single/cifar10")

    def accuracy(architecture: Architecture, epochs: int) -> float:
        row = table.row(architecture)
        left = (epochs**-0.5 - FULL**-0.5) / (FIRST**-0.5 - FULL**-0.5)
        return float(late[row] - (late[row] - early[row]) * left)

    return Curves(table.space, accuracy)


@dataclass
class Run:
    """What one contestant did with its epochs."""

    epochs: int = 0
    begun: int = 0

    def __post_init__(self) -> None:
        self.full: list[tuple[int, float]] = []

    def train(self, curves: Curves, architecture: Architecture, start: int, end: int) -> float:
        """Return the accuracy after a training goes on from one epoch to another."""
        self.begun += start == 0
        self.epochs += end - start
        found = curves.accuracy(architecture, end)
        if end == FULL:
            self.full.append((self.epochs, found))
        return found

    @property
    def best(self) -> float:
        """The best of the full trainings."""
        return max(accuracy for _, accuracy in self.full)

    def epochs_to(self, target: float, limit: int) -> int:
        """Return after how many epochs a full training was as good as the target; the limit where none was."""
        return min((epochs for epochs, accuracy in self.full if accuracy >= target), default=limit)


Contestant = Callable[[Curves, int, int], Run]
"""Takes curves, the epochs and a seed."""


def ours(budget: Schedule | int, strategy: Callable[[], Strategy]) -> Contestant:
    """Return a search of ours."""

    def run(curves: Curves, epochs: int, seed: int) -> Run:
        done = Run()
        search = Search(curves.space, strategy(), objectives="accuracy", budget=budget, seed=seed)
        while done.epochs < epochs and (trial := search.ask()) is not None:
            assert trial.budget is not None
            search.tell(trial, {"accuracy": done.train(curves, trial.architecture, *trial.budget)})
        return done

    return run


def optuna_asha(curves: Curves, epochs: int, seed: int) -> Run:
    """Prune by Optuna's successive halving."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=FIRST, reduction_factor=REDUCTION)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=seed), pruner=pruner)
    done = Run()
    while done.epochs < epochs:
        trial = study.ask()
        options: dict[str, Any] = {c.label: trial.suggest_categorical(c.label, c.options) for c in curves.space.choices}
        for end, value in _stages(done, curves, Architecture(options)):
            trial.report(value, end)
            if end < FULL and trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, value)
    return done


def ray_asha(curves: Curves, epochs: int, seed: int) -> Run:
    """Stop by the rule of Ray Tune's ASHA."""
    from ray.tune.schedulers.async_hyperband import _Bracket
    from ray.tune.schedulers.trial_scheduler import TrialScheduler

    rule, rng, done = _Bracket(FIRST, FULL, REDUCTION, 0), np.random.default_rng(seed), Run()
    while done.epochs < epochs:
        trial: Any = SimpleNamespace(trial_id=str(done.begun))
        for end, value in _stages(done, curves, curves.space.sample(rng)):
            if rule.on_result(trial, end, value) == TrialScheduler.STOP:
                break
    return done


def _stages(done: Run, curves: Curves, architecture: Architecture) -> Iterator[tuple[int, float]]:
    start = 0
    for end in (*RUNGS, FULL):
        yield end, done.train(curves, architecture, start, end)
        start = end


def contestants() -> dict[str, Contestant]:
    """Return everybody by name, random search with full trainings first."""
    asha, hyperband = ASHA(FULL, FIRST, REDUCTION), Hyperband(FULL, FIRST, REDUCTION)
    found: dict[str, Contestant] = {
        "random search, in full": ours(FULL, RandomSearch),
        "regularized evolution, in full": ours(FULL, lambda: RegularizedEvolution(20, 5)),
        "ASHA": ours(asha, RandomSearch),
        "Hyperband": ours(hyperband, RandomSearch),
        "ASHA, regularized evolution": ours(asha, lambda: RegularizedEvolution(20, 5)),
        "Hyperband, regularized evolution": ours(hyperband, lambda: RegularizedEvolution(20, 5)),
    }
    if find_spec("optuna") is not None:
        found["Optuna, SuccessiveHalvingPruner"] = optuna_asha
    if find_spec("ray") is not None:
        found["Ray Tune, the rule of ASHA"] = ray_asha
    return found


@dataclass(frozen=True)
class Row:
    """What a contestant did, on average over the seeds."""

    contestant: str
    epochs_to_target: float
    reached: float
    ratio: float
    best: float
    begun: float


def measured(curves: Curves, full: int, seeds: int) -> tuple[float, list[Row]]:
    """Return the target, and a row for everybody.

    Args:
        curves: what is learned.
        full: how many full trainings the epochs are enough for.
        seeds: how many searches of each.
    """
    limit, rows = full * FULL, list[Row]()
    target, first = 0.0, 0.0
    for name, contestant in contestants().items():
        runs = [contestant(curves, limit, seed) for seed in range(seeds)]
        if not rows:
            target = float(np.median([run.best for run in runs]))
        needed = np.array([run.epochs_to(target, limit) for run in runs])
        first = first or float(needed.mean())
        rows.append(
            Row(
                contestant=name,
                epochs_to_target=float(needed.mean()),
                reached=float(np.mean([run.best >= target for run in runs])),
                ratio=first / float(needed.mean()),
                best=float(np.mean([run.best for run in runs])),
                begun=float(np.mean([run.begun for run in runs])),
            )
        )
    return target, rows


def main() -> None:
    """Measure everybody, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, help="of NAS-Bench-201; made-up curves without")
    parser.add_argument("--full", type=int, default=100, help="full trainings that the epochs are enough for")
    parser.add_argument("--seeds", type=int, default=20, help="searches of each")
    parser.add_argument("--json", type=Path, help="write the rows here as well")
    given = parser.parse_args()
    curves = made_up() if given.table is None else of_table(given.table)
    target, rows = measured(curves, given.full, given.seeds)
    table = Table(title=f"{given.full * FULL} epochs, {given.seeds} seeds, target {target:.2f}%")
    for heading in ("contestant", "begun", "epochs to the target", "reached", "ratio", "best at the end"):
        table.add_column(heading, justify="left" if heading == "contestant" else "right")
    for row in rows:
        numbers = (f"{row.begun:.0f}", f"{row.epochs_to_target:.0f}", f"{row.reached:.0%}", f"{row.ratio:.2f}")
        table.add_row(row.contestant, *numbers, f"{row.best:.2f}")
    Console().print(table)
    if given.json is not None:
        values = {"target": target, "full": given.full, "seeds": given.seeds, "rows": [vars(row) for row in rows]}
        given.json.write_text(json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    main()
