from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.trials.trial import Trial
from autopanoptic.strategies import RandomSearch
from autopanoptic.strategies.bayesian import acquisition as module
from autopanoptic.strategies.bayesian.acquisition import (
    Acquisition,
    WholeSpace,
    climb,
    descending,
    log_expected_improvement,
)
from autopanoptic.strategies.bayesian.gaussian_process import (
    GaussianProcess,
    Hyperparameters,
    OverlapKernel,
    choice_of_columns,
)
from autopanoptic.strategies.testing import FLAT, NESTED, SYMMETRIC
from autopanoptic.strategies.testing.simulation import Simulation, score

LARGE = SearchSpace(Choice(f"c{i}", range(5)) for i in range(20))


def searched(space: SearchSpace, trials: int = 12, seed: int = 0) -> tuple[Simulation, Acquisition]:
    """Return a random search and the acquisition after it."""
    search = Simulation(RandomSearch(), space, seed).run(trials)
    encoded = space.encode(search.architectures)
    values = np.array([trial.metrics["value"] for trial in search.history])
    kernel = OverlapKernel(np.full(len(space.choices), 0.3), choice_of_columns(space))
    process = GaussianProcess(Hyperparameters(kernel, 0.01), encoded, (values - values.mean()) / values.std())
    return search, Acquisition(process, float(process.mean(encoded).max()), np.zeros(encoded.shape[1]))


@pytest.mark.parametrize(("mean", "sd", "best"), [(0.0, 1.0, 0.0), (0.3, 0.2, 0.1), (-0.5, 0.3, 0.4), (2.0, 0.1, 0.0)])
def test_expected_improvement_is_its_integral(mean: float, sd: float, best: float) -> None:
    expected, _ = integrate.quad(lambda f: (f - best) * stats.norm.pdf(f, mean, sd), best, mean + 12 * sd)
    found = log_expected_improvement(np.array([mean]), np.array([sd]), best)
    assert found[0] == pytest.approx(np.log(expected), rel=1e-6)


def test_the_logarithm_ranks_where_expected_improvement_underflows() -> None:
    mean = -np.geomspace(0.5, 1e6, 200)
    found = log_expected_improvement(mean, np.ones(200), 0.0)
    assert np.isfinite(found).all()
    assert (np.diff(found) < 0).all()
    assert np.exp(found[-1]) == 0


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_its_bound_holds(seed: int) -> None:
    _, acquisition = searched(NESTED, seed=seed)
    encoded = NESTED.encode(NESTED)
    assert (acquisition.bound(encoded) >= acquisition(encoded) - 1e-9).all()


@pytest.mark.parametrize("block", [1, 7, 10_000])
def test_descending_yields_every_row_by_its_value(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    _, acquisition = searched(NESTED)
    encoded = NESTED.encode(NESTED)
    found = list(descending(acquisition, encoded, np.random.default_rng(0)))
    assert sorted(found) == list(range(len(encoded)))
    values = acquisition(encoded)[found]
    assert (np.diff(values) <= 2 * module.TIE).all()


def test_few_rows_are_worked_out_for_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    _, acquisition = searched(FLAT, 60)
    encoded, asked = FLAT.encode(FLAT), list[int]()
    predict = GaussianProcess.predict
    monkeypatch.setattr(GaussianProcess, "predict", lambda self, x: (asked.append(len(x)), predict(self, x))[1])
    next(descending(acquisition, encoded, np.random.default_rng(0)))
    assert 0 < sum(asked) < len(encoded) / 2


def test_the_whole_space_gives_the_arg_max_of_the_untried() -> None:
    for seed in range(5):
        search, acquisition = searched(NESTED, seed=seed)
        rest = [architecture for architecture in NESTED if architecture not in search.history]
        values = dict(zip(rest, acquisition(NESTED.encode(rest)), strict=True))
        found = WholeSpace(NESTED).best(search.history, acquisition, np.random.default_rng(seed))
        assert found is not None
        assert values[found] == pytest.approx(max(values.values()), abs=2 * module.TIE)


def test_ties_are_broken_at_random() -> None:
    space = SearchSpace([Choice("a", range(2)), Choice("b", range(6))])
    encoded = space.encode([Architecture({"a": 0, "b": 0})])
    kernel = OverlapKernel(np.array([2.0, 0.1]), choice_of_columns(space))
    process = GaussianProcess(Hyperparameters(kernel, 0.01), encoded, np.array([-1.0]))
    search = Simulation(RandomSearch(), space)
    search.start(Architecture({"a": 0, "b": 0}))
    acquisition = Acquisition(process, -1.0, np.zeros(8))
    found = Counter(
        WholeSpace(space).best(search.history, acquisition, np.random.default_rng(seed)) for seed in range(300)
    )
    # Five of equal distance; a standard deviation is 6.9.
    assert {(a["a"], a["b"]) for a in found if a} == {(1, b) for b in range(1, 6)}
    assert all(abs(count - 60) < 30 for count in found.values())


@pytest.mark.parametrize("space", [NESTED, SYMMETRIC], ids=["nested", "symmetric"])
def test_a_constraint_is_asked_of_few_and_of_none_twice(space: SearchSpace) -> None:
    asked: Counter[Architecture] = Counter()

    def accept(architecture: Architecture) -> bool:
        asked[architecture] += 1
        return score(architecture) < 0.5

    search, acquisition = searched(space)
    part = space.where(accept, "low scores")
    whole = WholeSpace(part)
    assert not asked
    first = whole.best(search.history, acquisition, np.random.default_rng(0))
    assert first is not None
    assert score(first) < 0.5
    refused = {architecture for architecture in asked if score(architecture) >= 0.5}
    assert whole.best(search.history, acquisition, np.random.default_rng(0)) is not None
    assert all(asked[architecture] == 1 for architecture in refused)
    assert len(asked) < len(whole.architectures) / 2


def test_where_everything_is_tried_or_refused_there_is_no_best() -> None:
    search, acquisition = searched(NESTED)
    tried = {trial.architecture for trial in search.history}
    part = NESTED.where(lambda architecture: architecture in tried, "tried")
    assert WholeSpace(part).best(search.history, acquisition, np.random.default_rng(0)) is None


def test_a_climb_ends_where_no_neighbour_is_better() -> None:
    for seed in range(3):
        search, acquisition = searched(LARGE, 30, seed)
        parents = [trial.architecture for trial in search.history.ranked()[:5]]
        found = climb(LARGE, search.history, acquisition, parents, np.random.default_rng(seed), 100)
        assert found is not None
        assert found not in search.history
        around = [one for one in LARGE.neighbors(found) if one not in search.history]
        (own,) = acquisition(LARGE.encode([found]))
        assert acquisition(LARGE.encode(around)).max() <= own + module.TIE
        drawn = LARGE.encode(LARGE.sample(np.random.default_rng(9)) for _ in range(2000))
        assert own >= acquisition(drawn).max()


def test_a_climb_keeps_the_constraint_and_asks_about_few() -> None:
    asked: set[Architecture] = set()

    def accept(architecture: Architecture) -> bool:
        asked.add(architecture)
        return sum(int(option) for option in architecture.values()) <= 35

    part = LARGE.where(accept, "sum <= 35")
    search, acquisition = searched(part, 30)
    parents = [trial.architecture for trial in search.history.ranked()[:5]]
    asked.clear()
    found = climb(part, search.history, acquisition, parents, np.random.default_rng(0), 50)
    assert found is not None
    assert sum(int(option) for option in found.values()) <= 35
    assert len(asked) < 5 * sum(1 for _ in LARGE.neighbors(found)), "the parents' neighbours alone are as many"


def test_a_climb_finds_nothing_where_all_is_tried() -> None:
    space = SearchSpace([Choice("a", range(3)), Choice("b", range(2))])
    search, acquisition = searched(space, 6)
    assert len(search.history) == 6
    assert climb(space, search.history, acquisition, list(space), np.random.default_rng(0), 20) is None


def test_running_trials_are_not_candidates() -> None:
    space = SearchSpace([Choice("a", range(3)), Choice("b", range(2))])
    search, acquisition = searched(space, 3)
    rest = [architecture for architecture in space if architecture not in search.history]
    for architecture in itertools.islice(rest, 2):
        search.history.add(Trial(len(search.history), architecture))
    assert WholeSpace(space).best(search.history, acquisition, np.random.default_rng(0)) == rest[2]
    assert climb(space, search.history, acquisition, list(space), np.random.default_rng(0), 20) == rest[2]
