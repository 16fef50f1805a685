"""Samplers of one's own: what becomes of suggestions that do not do, and state that is kept in the study."""

# ruff: noqa: E402 - this file is skipped where Optuna is not installed
from __future__ import annotations

from typing import Any

import pytest

optuna = pytest.importorskip("optuna")

from optuna.samplers import RandomSampler
from optuna.trial import TrialState as State

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.strategies.optuna.sampler import OptunaSampler
from autopanoptic.strategies.testing import FLAT
from autopanoptic.strategies.testing.simulation import Simulation
from tests.outcomes import some_end_early

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


class Stubborn(RandomSampler):
    """Suggests the first options always."""

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        return param_distribution.to_external_repr(0)


def test_repeated_and_refused_suggestions_are_mutated() -> None:
    first = Architecture({choice.label: choice.options[0] for choice in FLAT.choices})
    search = Simulation(OptunaSampler(Stubborn()), FLAT, 0).run(8)
    assert search.architectures[0] == first
    assert set(search.architectures[1:]) <= set(FLAT.neighbors(first))
    part = FLAT.where(lambda found: found != first, "not the first")
    assert Simulation(OptunaSampler(Stubborn()), part, 0).run(1).architectures[0] in FLAT.neighbors(first)


class Counts(RandomSampler):
    """Keeps in the study how often it was asked and what became of it, and suggests by these numbers alone."""

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        count = study._storage.get_study_system_attrs(study._study_id).get("asked", 0)
        study._storage.set_study_system_attr(study._study_id, "asked", count + 1)
        return {f"op{i}": ["conv", "pool", "skip"][count // 3**i % 3] for i in range(8)}

    def after_trial(self, study: Any, trial: Any, state: Any, values: Any) -> None:
        assert trial.state == State.RUNNING
        assert (values is None) == (state != State.COMPLETE)


def test_a_sampler_of_ones_own_may_keep_its_state_in_the_study() -> None:
    search = Simulation(OptunaSampler(Counts()), FLAT, 0, workers=3, outcome=some_end_early).run(30)
    assert search.architectures == [
        Architecture({f"op{i}": ["conv", "pool", "skip"][n // 3**i % 3] for i in range(8)}) for n in range(30)
    ]
