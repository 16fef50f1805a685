"""Who takes part: searches of ours, and the rules of Optuna and Ray Tune."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np

from autopanoptic.nas import (
    ASHA,
    Architecture,
    Hyperband,
    RandomSearch,
    RegularizedEvolution,
    Schedule,
    Search,
    Strategy,
)
from benchmarks.budgets.curves import FIRST, FULL, Curves

REDUCTION = 3
RUNGS = (12, 36, 108)


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


Contestant: TypeAlias = Callable[[Curves, int, int], Run]
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
        found[f"Optuna {version('optuna')}, SuccessiveHalvingPruner"] = optuna_asha
    if find_spec("ray") is not None:
        found[f"Ray Tune {version('ray')}, the rule of AsyncHyperBandScheduler"] = ray_asha
    return found
