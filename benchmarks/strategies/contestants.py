"""Who takes part, by name; nothing is imported before it plays."""

from __future__ import annotations

import importlib

from autopanoptic.nas.strategy import Strategy
from benchmarks.strategies.nni_peer import Nni
from benchmarks.strategies.optuna_peer import Optuna
from benchmarks.strategies.ours import Ours
from benchmarks.strategies.problem import Contestant


def _evolution(**parameters: int) -> Ours:
    return Ours("RegularizedEvolution", parameters)


CONTESTANTS: dict[str, Contestant] = {
    "random": Ours("RandomSearch"),
    "regularized-evolution-10-3": _evolution(population=10, sample=3),  # Dong and Yang's
    "regularized-evolution-50-25": _evolution(population=50, sample=25),  # the best of seven pairs, on other seeds
    "regularized-evolution": _evolution(),
    "evolution": Ours("Evolution", {"population": 20}),
    "evolution-50": Ours("Evolution"),
    "local-search": Ours("LocalSearch"),
    "local-search-full": Ours("LocalSearch", {"full_neighborhood": True}),  # White et al.'s
    "nsga2": Ours("NSGA2"),
    "nsga2-20": Ours("NSGA2", {"population": 20}),
    "bayesian-optimization": Ours("BayesianOptimization"),
    "bayesian-optimization-known": Ours("BayesianOptimization", known=True),
    "optuna-random": Optuna("RandomSampler"),
    "optuna-tpe": Optuna("TPESampler"),
    "optuna-nsga2": Optuna("NSGAIISampler"),
    "nni-random": Nni("Random"),
    "nni-regularized-evolution-10-3": Nni("RegularizedEvolution", {"population_size": 10, "sample_size": 3}),
    "nni-regularized-evolution": Nni("RegularizedEvolution"),
}


def contestant(name: str) -> Contestant:
    """Return a contestant by its name, or ``MODULE:CLASS`` for a strategy of your own, with its defaults.

    Raises:
        ValueError: names those that there are, or says what a class of your own lacks.
    """
    if ":" in name:
        return _own(name)
    if name not in CONTESTANTS:
        raise ValueError(
            f"There is no contestant {name!r}; choose from {', '.join(CONTESTANTS)}, or give a strategy of your own as "
            "MODULE:CLASS."
        )
    return CONTESTANTS[name]


def _own(name: str) -> Ours:
    module, _, which = name.rpartition(":")
    try:
        found = getattr(importlib.import_module(module), which)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"The strategy {name} cannot be imported: {error}. Give MODULE:CLASS, of a module that Python finds from "
            "the folder in which the command runs."
        ) from error
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise ValueError(f"{name} is not a class derived from autopanoptic.nas.Strategy, but {found!r}.")
    own = Ours(name)
    try:
        own.make()
    except TypeError as error:
        raise ValueError(f"{name} cannot be made without arguments: {error}. Give its parameters defaults.") from error
    return own
