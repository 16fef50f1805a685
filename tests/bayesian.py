"""A random search of a space and the acquisition after it."""

from __future__ import annotations

import numpy as np

from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.trials.history import History
from autopanoptic.strategies import BayesianOptimization, RandomSearch
from autopanoptic.strategies.bayesian.acquisition import Acquisition, OverBest
from autopanoptic.strategies.bayesian.aims import aim_of
from autopanoptic.strategies.bayesian.gaussian_process import (
    GaussianProcess,
    Hyperparameters,
    OverlapKernel,
    choice_of_columns,
)
from autopanoptic.strategies.testing.simulation import Simulation


def searched(
    space: SearchSpace, trials: int = 12, seed: int = 0, relevance: float = 0.3
) -> tuple[Simulation, Acquisition]:
    """Return a random search and the acquisition after it."""
    search = Simulation(RandomSearch(), space, seed).run(trials)
    encoded = space.encode(search.architectures)
    values = np.array([trial.metrics["value"] for trial in search.history])
    kernel = OverlapKernel(np.full(len(space.choices), relevance), choice_of_columns(space))
    process = GaussianProcess(Hyperparameters(kernel, 0.01), encoded, (values - values.mean()) / (values.std() or 1))
    return search, Acquisition(process, OverBest(float(process.mean(encoded).max())), np.zeros(encoded.shape[1]))


def acquired(
    strategy: BayesianOptimization, space: SearchSpace, history: History, rng: np.random.Generator | None = None
) -> Acquisition:
    """Return what a strategy's next proposal maximises, with an aim that is drawn from a generator."""
    return strategy.acquisition(space, history, aim_of(space, history, rng or np.random.default_rng(0)))
