"""Optuna's samplers as strategies: the contract, and that they go on from a history as in a study of Optuna's own."""

# ruff: noqa: E402 - this file is skipped where Optuna is not installed
from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

optuna = pytest.importorskip("optuna")

from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    NSGAIIISampler,
    NSGAIISampler,
    QMCSampler,
    TPESampler,
)

from autopanoptic.nas.search.search import Search
from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.trials.trial import Trial, TrialState
from autopanoptic.strategies.optuna.sampler import OptunaSampler
from autopanoptic.strategies.optuna.state import reseed
from autopanoptic.strategies.testing import CHECKS, NESTED, Check, check_strategy
from autopanoptic.strategies.testing.simulation import Outcome, Simulation, propose, replay
from tests.outcomes import some_end_early
from tests.spaces import nested_spaces

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

MAKE: list[Callable[[], OptunaSampler]] = [
    lambda: OptunaSampler(TPESampler(n_startup_trials=4)),
    lambda: OptunaSampler(NSGAIISampler(population_size=4), ordinal=False),
]
NUMBERS = SearchSpace(Choice(f"c{i}", range(1, 21, 2)) for i in range(8))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("make", MAKE, ids=lambda make: repr(make())[:25])
def test_sampler_conforms(make: Callable[[], OptunaSampler], check: Check) -> None:
    check(make, max_trials=10)


def _of_group(seed: int) -> BaseSampler:
    return TPESampler(seed=seed, n_startup_trials=3, multivariate=True, group=True)


@pytest.mark.parametrize("make", [NSGAIIISampler, QMCSampler, lambda: _of_group])
def test_more_samplers_conform(make: Callable[[], Any]) -> None:
    check_strategy(lambda: OptunaSampler(make()), seeds=[1], max_trials=5)


def squares(trial: Trial) -> Outcome:
    return TrialState.COMPLETED, {"value": -float(sum((int(x) - 7) ** 2 for x in trial.architecture.values()))}


def in_optuna(sampler: BaseSampler, ordinal: bool, trials: int) -> list[Architecture]:
    """Search NUMBERS in a study of Optuna's, with a sampler that is seeded for each trial as a strategy is."""
    study = optuna.create_study(direction="maximize")
    found: list[Architecture] = []
    for number in range(trials):
        rng = np.random.default_rng([0, number])
        rng.integers(2**32)
        study.sampler = copy.deepcopy(sampler)
        reseed(study.sampler, rng)
        trial = study.ask()
        options = [list(choice.options) for choice in NUMBERS.choices]
        values = [
            x[trial.suggest_int(f"c{i}", 0, 9)] if ordinal else trial.suggest_categorical(f"c{i}", x)
            for i, x in enumerate(options)
        ]
        found.append(Architecture({f"c{i}": value for i, value in enumerate(values)}))
        study.tell(trial, squares(Trial(number, found[-1]))[1]["value"])
    return found


@pytest.mark.parametrize(
    ("make", "ordinal", "trials"),
    [
        (lambda: TPESampler(n_startup_trials=5, multivariate=True), True, 40),
        (lambda: TPESampler(n_startup_trials=12, multivariate=True), False, 16),
        (lambda: NSGAIISampler(population_size=5, mutation_prob=0.5), False, 25),
        (lambda: NSGAIISampler(population_size=10, mutation_prob=0.5), True, 40),
        (lambda: CmaEsSampler(), True, 50),
        (lambda: GPSampler(n_startup_trials=4), True, 8),
        (lambda: QMCSampler(), True, 20),
    ],
)
def test_proposes_what_a_study_of_optuna_suggests(make: Callable[[], BaseSampler], ordinal: bool, trials: int) -> None:
    if isinstance(make(), CmaEsSampler):
        pytest.importorskip("cmaes")
    expected = in_optuna(make(), ordinal, trials)
    assert len(set(expected)) == trials  # a search would repeat none
    assert (
        Simulation(OptunaSampler(make(), ordinal=ordinal), NUMBERS, 0, outcome=squares).run(trials).architectures
        == expected
    )


@pytest.mark.parametrize("make", MAKE, ids=lambda make: repr(make())[:25])
@settings(max_examples=12, deadline=None)
@given(space=nested_spaces(), seed=st.integers(0, 2**32), workers=st.integers(1, 4))
def test_searches_are_valid_end_and_resume(
    make: Callable[[], OptunaSampler], space: SearchSpace, seed: int, workers: int
) -> None:
    search = Simulation(make(), space, seed, outcome=some_end_early, workers=workers).run(14)
    events, expected = search.calls[len(search.calls) // 2]
    assert propose(make(), space, replay(search.objectives, search.events[:events]), seed) == expected
    assert len(search.history) == min(space.size, 14)


def test_an_interrupted_search_goes_on_as_it_would_have(tmp_path: Path) -> None:
    def search(journal: str) -> Search:
        strategy = OptunaSampler(NSGAIISampler(population_size=4))
        return Search(NESTED, strategy, lambda found: len(found), journal=tmp_path / journal)

    whole = search("whole.jsonl").run(16).history
    search("parts.jsonl").run(7)
    assert [trial.architecture for trial in search("parts.jsonl").run(16).history] == [
        trial.architecture for trial in whole
    ]
