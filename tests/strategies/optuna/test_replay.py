"""What one of Optuna's samplers sees of a search."""

# ruff: noqa: E402 - this file is skipped where Optuna is not installed
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

optuna = pytest.importorskip("optuna")

from optuna.distributions import IntDistribution
from optuna.samplers import (
    BaseSampler,
    NSGAIISampler,
    RandomSampler,
    TPESampler,
)
from optuna.trial import TrialState as State

from autopanoptic.nas.budgets.view import View
from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.trials.budget import Budget
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Constraint, Objective
from autopanoptic.nas.trials.trial import Trial, TrialState, measured, promoted
from autopanoptic.strategies.optuna.replay import Replay
from autopanoptic.strategies.optuna.sampler import OptunaSampler
from autopanoptic.strategies.testing import FLAT
from autopanoptic.strategies.testing.simulation import Outcome, Simulation
from tests.outcomes import some_end_early

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def trials_of(space: SearchSpace, history: History, **options: Any) -> list[Any]:
    settings = {"ordinal": frozenset(), "asks": False, **options}
    storage = Replay(space, history.objectives, **settings).storage(history, RandomSampler)
    return storage.get_all_trials(storage.get_study_id_from_name("replay"))


def test_study_holds_the_trials_in_the_order_in_which_they_ended() -> None:
    space = SearchSpace([Choice("op", ["a", "b"]), Choice("k", [7, 3, 5], ("op", "b"))])
    history = History([Objective("loss", "min")])
    architectures = [{"op": "a"}, {"op": "b", "k": 7}, {"op": "b", "k": 3}, {"op": "b", "k": 5}]
    found = [Trial(n, Architecture(options)) for n, options in enumerate(architectures)]
    for trial in found:
        history.add(trial)
    reports = ((1, {"loss": 4.0}), (2, {"other": 1.0}), (2, {"loss": 3.0}))
    history.update(Trial(2, found[2].architecture, TrialState.COMPLETED, {"loss": 2.0}))
    history.update(Trial(3, found[3].architecture, TrialState.STOPPED, {"loss": 9.0}, reports))
    history.update(Trial(0, found[0].architecture, TrialState.FAILED))
    seen = trials_of(space, history, ordinal=frozenset("k"))
    assert [trial.state for trial in seen] == [State.COMPLETE, State.PRUNED, State.FAIL, State.RUNNING]
    assert [trial.params for trial in seen] == [
        {"op": "b", "k": 0},
        {"op": "b", "k": 1},
        {"op": "a"},
        {"op": "b", "k": 2},
    ]
    assert [trial.values for trial in seen] == [[-2.0], None, None, None]
    assert seen[1].intermediate_values == {1: -4.0, 2: -3.0}
    assert seen[0].distributions["k"] == IntDistribution(0, 2)


def test_generations_are_counted_by_the_order_in_which_trials_end() -> None:
    search = Simulation(OptunaSampler(NSGAIISampler(population_size=3)), FLAT, 0, workers=4, outcome=some_end_early)
    history = search.run(16).history
    make = lambda: NSGAIISampler(population_size=3, seed=0)  # noqa: E731
    storage = Replay(FLAT, history.objectives, frozenset(), asks=True).storage(history, make)
    complete = storage.get_all_trials(0, states=(State.COMPLETE,))
    generations = [[v for k, v in t.system_attrs.items() if k.endswith("generation")] for t in complete]
    assert generations == [[n // 3] for n in range(history.n_completed)]
    assert history.n_completed == 8


def test_stopped_trials_of_several_objectives_are_left_out() -> None:
    several = (Objective("a"), Objective("b"))
    history = History(several)
    history.add(Trial(0, Architecture({"a": 1})))
    history.update(Trial(0, Architecture({"a": 1}), TrialState.STOPPED, {}, ((1, {"a": 1.0, "b": 1.0}),)))
    space = SearchSpace([Choice("a", [1, 2])])
    assert trials_of(space, history)[0].state == State.FAIL
    assert trials_of(space, history)[0].intermediate_values == {}
    strategy = OptunaSampler(TPESampler(n_startup_trials=1))
    assert strategy.propose(space, history, np.random.default_rng(0)) == {"a": 2}


def test_paused_trials_are_pruned_ones_with_what_was_measured_at_their_budgets() -> None:
    space, history = SearchSpace([Choice("a", range(3))]), History([Objective("loss", "min")])
    for number in range(2):
        trial = Trial(number, Architecture({"a": number}), budget=Budget(0, 1))
        history.add(trial)
        history.update(measured(trial, TrialState.PAUSED, {"loss": 5.0 - number}, 1.0))
    history.promote(promoted(history[1], 3))
    history.update(measured(history[1], TrialState.PAUSED, {"loss": 2.0}, 1.0))
    seen = trials_of(space, View(enough=1).of(history))
    assert [trial.state for trial in seen] == [State.PRUNED, State.COMPLETE]
    assert [trial.values for trial in seen] == [None, [-2.0]]
    assert [trial.intermediate_values for trial in seen] == [{1: -5.0}, {1: -4.0, 3: -2.0}]


@pytest.mark.parametrize("make", [lambda: TPESampler(n_startup_trials=6), lambda: NSGAIISampler(population_size=6)])
def test_bounds_on_metrics_are_regarded(make: Callable[[], BaseSampler]) -> None:
    space = SearchSpace(Choice(f"c{i}", ["low", "high"]) for i in range(12))

    def count(trial: Trial) -> Outcome:
        high = float(sum(option == "high" for option in trial.architecture.values()))
        return TrialState.COMPLETED, {"value": high, "cost": high}

    def highs(constraints: Sequence[Constraint]) -> float:
        search = Simulation(OptunaSampler(make()), space, 0, outcome=count, constraints=constraints).run(26)
        return float(np.mean([trial.metrics["cost"] for trial in search.history[16:]]))

    free = highs(())
    assert free > 7
    assert highs([Constraint("cost", None, 100.0)]) == free
    assert highs([Constraint("cost", None, 4.0)]) < free - 1.5
