"""Samplers, spaces and objectives that cannot be searched, and what the messages say."""

# ruff: noqa: E402 - this file is skipped where Optuna is not installed
from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

optuna = pytest.importorskip("optuna")

from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GridSampler,
    NSGAIISampler,
    PartialFixedSampler,
    RandomSampler,
    TPESampler,
)

from autopanoptic.nas.results import _optuna
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.trials.objective import Objective
from autopanoptic.strategies.optuna.replay import Replay
from autopanoptic.strategies.optuna.sampler import OptunaSampler
from autopanoptic.strategies.testing import CHECKS, FLAT, check_strategy
from autopanoptic.strategies.testing.simulation import Simulation

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

NUMBERS = SearchSpace(Choice(f"c{i}", range(1, 21, 2)) for i in range(8))


class Global(BaseSampler):
    """Draws from NumPy's global generator."""

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        return {}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        return param_distribution.to_external_repr(0)


class Uncopied(RandomSampler):
    def __deepcopy__(self, memo: object) -> Any:
        raise ValueError("one of its kind")


def used() -> BaseSampler:
    study = optuna.create_study(sampler=TPESampler(multivariate=True))
    study.optimize(lambda trial: trial.suggest_int("a", 0, 1), n_trials=2)
    return study.sampler  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: "tpe", TypeError, "needs a sampler, such as .*, not 'tpe'"),
        (lambda: TPESampler, TypeError, "needs a sampler, such as .*, not <class"),
        (lambda: lambda seed: seed, TypeError, "must make an Optuna sampler of a seed, but it made 0"),
        (Global, TypeError, "No random state was found in the attributes of Global. Give .* a function of a seed"),
        (Uncopied, TypeError, "Uncopied cannot be copied .one of its kind.. Give .* a function of a seed"),
        (lambda: GridSampler({"a": [1]}), TypeError, "Use GridSearch"),
        (lambda: PartialFixedSampler({"a": 1}, GridSampler({"b": [1]})), TypeError, "Use GridSearch"),
        (lambda: CmaEsSampler(with_margin=True), TypeError, "with_margin"),
        (used, ValueError, "This TPESampler has been used in a study"),
    ],
)
def test_refuses(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        OptunaSampler(make())


@pytest.mark.filterwarnings("ignore:.*constraints_func")
def test_refuses_a_function_of_constraints() -> None:
    with pytest.raises(TypeError, match="constraints_func, which is not called"):
        OptunaSampler(TPESampler(constraints_func=lambda trial: [0.0]))


def test_a_function_of_a_seed_makes_any_sampler() -> None:
    check_strategy(lambda: OptunaSampler(lambda seed: Global()), seeds=[0], max_trials=4, skip=CHECKS[3:])
    seeds: list[int] = []

    def make(seed: int) -> BaseSampler:
        seeds.append(seed)
        return TPESampler(seed=seed)

    strategy = OptunaSampler(make)
    assert repr(strategy) == "OptunaSampler(TPESampler(), ordinal=True)"
    Simulation(strategy, FLAT, 0).run(5)
    assert all(isinstance(seed, int) and 0 <= seed < 2**32 for seed in seeds)
    assert len(set(seeds)) >= 6


def test_cma_es_searches_numbers_that_are_always_made() -> None:
    pytest.importorskip("cmaes")
    objectives = (Objective("value"),)
    with pytest.raises(ValueError, match=re.escape("CmaEsSampler searches the numbers") + ".*Give ordinal=True"):
        OptunaSampler(CmaEsSampler(), ordinal=False).check(NUMBERS, objectives)
    with pytest.raises(ValueError, match=r"finds none in .*Use another sampler"):
        OptunaSampler(CmaEsSampler()).check(FLAT, objectives)
    mixed = SearchSpace([*NUMBERS.choices, Choice("op", ["a", "b"]), Choice("k", [1, 3], ("op", "b"))])
    search = Simulation(OptunaSampler(CmaEsSampler()), mixed, 0, workers=2).run(25)
    storage = Replay(mixed, objectives, frozenset(choice.label for choice in NUMBERS.choices), asks=True).storage(
        search.history, lambda: CmaEsSampler(seed=0)
    )
    assert storage.get_all_trials(0)[-1].system_attrs["cma:generation"] == 2  # of 10 trials each, in 8 dimensions


def test_several_objectives_are_refused_where_the_sampler_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cmaes")
    several = (Objective("value"), Objective("cost", "min"))
    OptunaSampler(NSGAIISampler()).check(NUMBERS, several)
    with pytest.raises(ValueError, match=r"CmaEsSampler cannot search .* for \['value', 'cost'\]: .*multi-objective"):
        OptunaSampler(CmaEsSampler()).check(NUMBERS, several)
    monkeypatch.setattr("autopanoptic.strategies.optuna.state.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install cmaes"):
        OptunaSampler(CmaEsSampler())


def test_missing_optuna_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_optuna, "find_spec", lambda name: None)
    with pytest.raises(
        ImportError, match=re.escape('OptunaSampler needs Optuna. Install it by: pip install "autopanoptic[optuna]"')
    ):
        OptunaSampler(TPESampler())
