"""Bayesian optimisation proposes a batch from one model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autopanoptic.nas.search.search import Search
from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.strategies import BayesianOptimization
from autopanoptic.strategies.bayesian import bayesian_optimization as module
from autopanoptic.strategies.bayesian import climb as climb_module
from autopanoptic.strategies.bayesian.gaussian_process import GaussianProcess, Hyperparameters, OverlapKernel
from autopanoptic.strategies.testing.simulation import score
from tests.bayesian import acquired

SMALL = SearchSpace(Choice(f"c{i}", range(4)) for i in range(4))
LARGE = SearchSpace(Choice(f"c{i}", range(5)) for i in range(12))
BOTH: Any = {"value": "max", "size": "min"}


def searched(space: SearchSpace, trials: int, objectives: Any = "value") -> Search:
    search = Search(space, BayesianOptimization(initial=trials), objectives=objectives)
    for trial in search.ask(trials):
        search.tell(
            trial, {"value": score(trial.architecture), "size": float(sum(map(int, trial.architecture.values())))}
        )
    return search


def rngs(first: int, count: int) -> list[np.random.Generator]:
    return [np.random.default_rng([0, number]) for number in range(first, first + count)]


@pytest.mark.parametrize("objectives", ["value", BOTH], ids=["one", "two"])
@pytest.mark.parametrize("space", [SMALL, LARGE], ids=["whole", "climbed"])
def test_the_first_of_a_batch_is_what_is_proposed_alone(space: SearchSpace, objectives: Any) -> None:
    search = searched(space, 12, objectives)
    batch = BayesianOptimization().propose_batch(space, search.history, rngs(12, 5))
    assert batch[0] == BayesianOptimization().propose(space, search.history, rngs(12, 1)[0])
    assert len(set(batch)) == 5
    assert not any(architecture in search.history for architecture in batch)


def test_each_of_a_small_space_is_the_best_where_those_before_are_pending() -> None:
    search = searched(SMALL, 10)
    strategy = BayesianOptimization()
    batch = strategy.propose_batch(SMALL, search.history, rngs(10, 6))
    acquisition = acquired(strategy, SMALL, search.history)
    pending: list[Architecture] = []
    for architecture in batch:
        rest = [other for other in SMALL if other not in search.history and other not in pending]
        process = acquisition.process.believing(SMALL.encode(pending)) if pending else acquisition.process
        values = type(acquisition)(process, acquisition.improvement, acquisition.log_prior)(SMALL.encode(rest), rest)
        assert values[rest.index(architecture)] == pytest.approx(values.max(), abs=1e-6)
        pending.append(architecture)


@pytest.mark.parametrize("objectives", ["value", BOTH], ids=["one", "two"])
def test_a_batch_learns_the_relevances_once(objectives: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    search, fits = searched(SMALL, 10, objectives), []
    fit = module.fit
    monkeypatch.setattr(module, "fit", lambda *args: (fits.append(1), fit(*args))[1])
    assert len(BayesianOptimization().propose_batch(SMALL, search.history, rngs(10, 6))) == 6
    assert len(fits) == 1


def test_those_behind_the_first_cost_few_values_of_the_acquisition(monkeypatch: pytest.MonkeyPatch) -> None:
    def values(count: int) -> int:
        seen: list[int] = []
        predict = GaussianProcess.predict_from
        monkeypatch.setattr(
            GaussianProcess, "predict_from", lambda self, cross: (seen.append(cross.shape[1]), predict(self, cross))[1]
        )
        found = BayesianOptimization().propose_batch(LARGE, searched(LARGE, 15).history, rngs(15, count))
        monkeypatch.setattr(GaussianProcess, "predict_from", predict)
        assert len(found) == count
        return sum(seen)

    assert (values(9) - values(1)) / 8 < values(1) / 3


def test_a_batch_takes_what_is_left_of_a_space() -> None:
    space = SearchSpace([Choice("a", range(4)), Choice("b", range(3))])
    search = searched(space, 9)
    batch = BayesianOptimization(initial=9).propose_batch(space, search.history, rngs(9, 8))
    assert set(batch) == {architecture for architecture in space if architecture not in search.history}


def test_a_climb_finds_nothing_where_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WHOLE", 0)
    space = SearchSpace([Choice("a", range(4)), Choice("b", range(3))])
    search = searched(space, 10)
    acquisition = acquired(BayesianOptimization(), space, search.history)
    parents = [trial.architecture for trial in search.history]
    found = climb_module.climb_batch(space, search.history, acquisition, parents, rngs(10, 5), 50)
    assert set(found) == {architecture for architecture in space if architecture not in search.history}


def test_a_prolonged_process_is_the_one_that_is_made_anew() -> None:
    rng = np.random.default_rng(1)
    space = SearchSpace(Choice(f"c{i}", range(3)) for i in range(4))
    encoded = space.encode([space.sample(rng) for _ in range(20)])
    kernel = OverlapKernel(np.array([0.3, 0.1, 0.5, 0.2]), np.repeat(np.arange(4), 3))
    process = GaussianProcess(Hyperparameters(kernel, 0.1), encoded[:12], rng.normal(size=12))
    anew, longer = process.believing(encoded[12:15]), process.joined_by(encoded[12:13]).joined_by(encoded[13:15])
    for one, two in zip(anew.predict(encoded), longer.predict(encoded), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-9)
    np.testing.assert_allclose(anew.solve(anew.targets), longer.coefficients, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(anew.inverse(), longer.inverse(), rtol=1e-8)
