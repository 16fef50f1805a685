"""Search strategies, one file each; names are loaded when they are first used.

:mod:`autopanoptic.strategies.testing` checks any strategy, also your own, against the contract of :class:`Strategy`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autopanoptic.nas.strategy import Strategy as Strategy
    from autopanoptic.strategies.bayesian.bayesian_optimization import BayesianOptimization as BayesianOptimization
    from autopanoptic.strategies.evolution import Evolution as Evolution
    from autopanoptic.strategies.grid_search import GridSearch as GridSearch
    from autopanoptic.strategies.local_search import LocalSearch as LocalSearch
    from autopanoptic.strategies.nsga2 import NSGA2 as NSGA2
    from autopanoptic.strategies.optuna.sampler import OptunaSampler as OptunaSampler
    from autopanoptic.strategies.path_priority.path_priority import PathPriority as PathPriority
    from autopanoptic.strategies.random_search import RandomSearch as RandomSearch
    from autopanoptic.strategies.regularized_evolution import RegularizedEvolution as RegularizedEvolution

_MODULE_OF = {
    "BayesianOptimization": "autopanoptic.strategies.bayesian.bayesian_optimization",
    "Evolution": "autopanoptic.strategies.evolution",
    "GridSearch": "autopanoptic.strategies.grid_search",
    "LocalSearch": "autopanoptic.strategies.local_search",
    "NSGA2": "autopanoptic.strategies.nsga2",
    "OptunaSampler": "autopanoptic.strategies.optuna.sampler",
    "PathPriority": "autopanoptic.strategies.path_priority.path_priority",
    "RandomSearch": "autopanoptic.strategies.random_search",
    "RegularizedEvolution": "autopanoptic.strategies.regularized_evolution",
    "Strategy": "autopanoptic.nas.strategy",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
