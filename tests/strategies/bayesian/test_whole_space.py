from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.encoding import OneHot
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.trials.trial import Trial
from autopanoptic.strategies import RandomSearch
from autopanoptic.strategies.bayesian import acquisition as module
from autopanoptic.strategies.bayesian import whole_space
from autopanoptic.strategies.bayesian.acquisition import Acquisition, OverBest
from autopanoptic.strategies.bayesian.gaussian_process import (
    GaussianProcess,
    Hyperparameters,
    OverlapKernel,
    choice_of_columns,
)
from autopanoptic.strategies.bayesian.whole_space import WholeSpace
from autopanoptic.strategies.testing import NESTED, SYMMETRIC
from autopanoptic.strategies.testing.simulation import Simulation, score
from tests.bayesian import searched


def test_the_whole_space_gives_the_arg_max_of_the_untried() -> None:
    for seed in range(5):
        search, acquisition = searched(NESTED, seed=seed)
        rest = [architecture for architecture in NESTED if architecture not in search.history]
        values = dict(zip(rest, acquisition(NESTED.encode(rest), rest), strict=True))
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
    acquisition = Acquisition(process, OverBest(-1.0), np.zeros(8))
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


def test_running_trials_are_not_candidates() -> None:
    space = SearchSpace([Choice("a", range(3)), Choice("b", range(2))])
    search, acquisition = searched(space, 3)
    rest = [architecture for architecture in space if architecture not in search.history]
    for architecture in rest[:2]:
        search.history.add(Trial(len(search.history), architecture))
    assert WholeSpace(space).best(search.history, acquisition, np.random.default_rng(0)) == rest[2]


def test_few_rows_are_encoded_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_space, "CELLS", 2000)
    rows = OneHot.rows
    cells: list[int] = []
    monkeypatch.setattr(OneHot, "rows", lambda self, places: (cells.append(100 * len(places)), rows(self, places))[1])
    space = SearchSpace([Choice("a", range(90)), Choice("b", range(10))])
    search, acquisition = searched(space, 20)
    assert WholeSpace(space).best(search.history, acquisition, np.random.default_rng(0)) is not None
    assert sum(cells) >= 880 * 100
    assert max(cells) <= 2000
