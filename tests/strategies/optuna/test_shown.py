"""What is shown of a sampler: its repr, and nothing in the log; and its generators."""

# ruff: noqa: E402 - this file is skipped where Optuna is not installed
from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

optuna = pytest.importorskip("optuna")

from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    NSGAIISampler,
    PartialFixedSampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)

from autopanoptic.nas.trials.objective import Objective
from autopanoptic.strategies.optuna.sampler import OptunaSampler
from autopanoptic.strategies.optuna.state import reseed
from autopanoptic.strategies.testing import FLAT, NESTED
from autopanoptic.strategies.testing.simulation import Simulation

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


class WithGenerators(RandomSampler):
    """Has generators of several kinds in several places, and parameters that are no plain values."""

    def __init__(self, scale: float = 1.0, table: Any = None) -> None:
        super().__init__()
        self._several = {"a": [np.random.default_rng()], "b": (np.random.RandomState(),)}
        self.scale, self.table, self.function = scale, table, np.median
        self.myself = self


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (TPESampler, "TPESampler()"),
        (lambda: TPESampler(seed=3), "TPESampler()"),
        (
            lambda: TPESampler(n_startup_trials=4, n_ei_candidates=9),
            "TPESampler(n_startup_trials=4, n_ei_candidates=9)",
        ),
        (lambda: CmaEsSampler(independent_sampler=TPESampler(n_startup_trials=1)), "CmaEsSampler(independent_sampler="),
        (lambda: QMCSampler(scramble=True, seed=5), "QMCSampler(scramble=True, seed=5)"),
        (QMCSampler, "QMCSampler(seed=0)"),
        (WithGenerators, "WithGenerators(myself=...)"),
        (lambda: WithGenerators(2.0, np.eye(2)), "WithGenerators(scale=2.0, table=[[1.0, 0.0], [0.0, 1.0]], myself="),
        (
            lambda: PartialFixedSampler({"op0": "conv"}, TPESampler()),
            "PartialFixedSampler(fixed_params={'op0': 'conv'}, base_sampler=TPESampler(",
        ),
    ],
)
def test_repr_shows_the_class_and_what_differs_from_its_defaults(make: Callable[[], BaseSampler], shown: str) -> None:
    first, second = repr(OptunaSampler(make())), repr(OptunaSampler(make()))
    assert first == second
    assert first.startswith(f"OptunaSampler({shown}")
    assert not re.search("0x[0-9a-f]{6}", first)


def test_generators_of_every_kind_are_seeded() -> None:
    sampler = WithGenerators()
    assert reseed(sampler, np.random.default_rng(0)) == 3
    other = copy.deepcopy(WithGenerators())
    reseed(other, np.random.default_rng(0))
    drawn = [(s._several["a"][0].random(), s._several["b"][0].rand(), s._rng.rng.rand()) for s in (sampler, other)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 3


@pytest.fixture
def verbosity() -> Iterator[int]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.INFO)
    yield optuna.logging.INFO
    optuna.logging.set_verbosity(before)


def test_nothing_is_logged_and_the_verbosity_stays(verbosity: int, capfd: pytest.CaptureFixture[str]) -> None:
    OptunaSampler(GPSampler(n_startup_trials=2)).check(NESTED, (Objective("value"),))
    search = Simulation(OptunaSampler(GPSampler(n_startup_trials=2)), NESTED, 0).run(3)
    strategy = OptunaSampler(NSGAIISampler(population_size=2))
    made = strategy.propose(NESTED, search.history, np.random.default_rng(0))
    assert made not in search.history
    assert optuna.logging.get_verbosity() == verbosity
    assert capfd.readouterr() == ("", "")


def test_a_sampler_that_raises_leaves_the_verbosity(verbosity: int) -> None:
    strategy = OptunaSampler(PartialFixedSampler({"op0": "no option"}, TPESampler()))
    with pytest.raises(ValueError, match=r"PartialFixedSampler cannot search .*no option"):
        strategy.check(FLAT, (Objective("value"),))
    assert optuna.logging.get_verbosity() == verbosity
