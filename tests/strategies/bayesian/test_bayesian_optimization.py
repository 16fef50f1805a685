from __future__ import annotations

import copy
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from autopanoptic.nas.search.search import Search
from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.trials.objective import Objective
from autopanoptic.nas.trials.pareto import hypervolume
from autopanoptic.nas.trials.trial import Trial, TrialState
from autopanoptic.strategies import BayesianOptimization, RandomSearch
from autopanoptic.strategies.bayesian import bayesian_optimization as module
from autopanoptic.strategies.bayesian.acquisition import OverBest
from autopanoptic.strategies.bayesian.bayesian_optimization import (
    fit_trials,
    last_refit,
    log_prior,
)
from autopanoptic.strategies.testing import CHECKS, FLAT, NESTED, Check
from autopanoptic.strategies.testing.simulation import Outcome, Simulation, completed, propose, replay
from tests.bayesian import acquired
from tests.spaces import nested_spaces

TWO = (Objective("gain"), Objective("loss", "min"))
LARGE = SearchSpace(Choice(f"c{i}", range(5)) for i in range(12))


def small() -> BayesianOptimization:
    return BayesianOptimization(initial=4, candidates=30)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_conforms(check: Check) -> None:
    check(small, max_trials=20)


@settings(max_examples=15, deadline=None)
@given(space=nested_spaces(), seed=st.integers(0, 2**32), workers=st.integers(1, 5), large=st.booleans())
def test_searches_are_valid_end_and_resume(space: SearchSpace, seed: int, workers: int, large: bool) -> None:
    def some_end_badly(trial: Trial) -> Outcome:
        state = {1: TrialState.FAILED, 2: TrialState.STOPPED}.get(trial.id % 5)
        return completed(trial) if state is None else (state, {})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "WHOLE", 0 if large else 50_000)
        search = Simulation(small(), space, seed, outcome=some_end_badly, workers=workers).run(30)
        events, expected = search.calls[len(search.calls) // 2]
        assert propose(small(), space, replay(search.objectives, search.events[:events]), seed) == expected
    assert len(search.history) == min(30, space.size)


@pytest.mark.parametrize("seed", range(4))
def test_a_resumed_search_under_a_constraint_proposes_the_same(seed: int) -> None:
    # Two values only, so that many candidates tie, most of which the constraint refuses.
    def flat(trial: Trial) -> Outcome:
        return TrialState.COMPLETED, {"value": float(trial.architecture["op0"] == "conv")}

    part = FLAT.where(lambda found: list(found.values()).count("skip") >= 5, "skips >= 5")
    search = Simulation(small(), part, seed, outcome=flat).run(14)
    for events, expected in search.calls[4:]:
        assert propose(small(), part, replay(search.objectives, search.events[:events]), seed) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"initial": 0}, "initial to be a whole number of at least 1, not 0"),
        ({"candidates": 0.5}, r"candidates to be a whole number of at least 1, not 0\.5"),
        ({"beta": -1.0}, r"beta to be a finite number from 0, not -1\.0"),
        ({"beta": math.inf}, "not inf"),
        ({"beta": math.nan}, "not nan"),
        ({"beta": True}, "not True"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BayesianOptimization(**given)


def test_it_proposes_the_arg_max_of_expected_improvement() -> None:
    search = Simulation(BayesianOptimization(), NESTED).run(25)
    rest = [architecture for architecture in NESTED if architecture not in search.history]
    acquisition = acquired(BayesianOptimization(), NESTED, search.history)
    mean, sd = acquisition.process.predict(NESTED.encode(rest))
    assert isinstance(acquisition.improvement, OverBest)
    z = (mean - acquisition.improvement.best) / sd
    improvement = sd * (z * stats.norm.cdf(z) + stats.norm.pdf(z))
    found = propose(BayesianOptimization(), NESTED, search.history, 0)
    assert found is not None
    assert improvement[rest.index(found)] == pytest.approx(improvement.max(), rel=1e-5)


def test_proposals_depend_on_the_order_of_the_values_alone() -> None:
    def scaled(trial: Trial) -> Outcome:
        state, metrics = completed(trial)
        return state, {"value": math.exp(3 * metrics["value"]) - 1e4}

    plain, other = Simulation(small(), FLAT).run(30), Simulation(small(), FLAT, outcome=scaled).run(30)
    assert plain.architectures == other.architectures


def test_weights_of_the_objectives_differ_from_proposal_to_proposal() -> None:
    def rival(trial: Trial) -> Outcome:
        options = [int(option) for option in trial.architecture.values()]
        return TrialState.COMPLETED, {"gain": float(sum(options)), "loss": float(sum(o**2 for o in options))}

    history = Simulation(RandomSearch(), LARGE, objectives=TWO, outcome=rival).run(30).history
    generators = [np.random.default_rng([0, number]) for number in (0, 0, 1)]
    one, same, other = (acquired(BayesianOptimization(), LARGE, history, rng).process.targets for rng in generators)
    assert one.tolist() == same.tolist()
    assert one.tolist() != other.tolist()


def test_it_finds_more_of_the_front_than_twice_as_many_random_trials() -> None:
    def rival(trial: Trial) -> Outcome:
        options = [int(option) for option in trial.architecture.values()]
        return TrialState.COMPLETED, {"gain": float(sum(options)), "loss": float(sum(o**3 for o in options))}

    reference = np.array([0.0, -12 * 64.0])
    found, drawn = (
        Simulation(strategy, LARGE, objectives=TWO, outcome=rival).run(trials).history
        for strategy, trials in ((small(), 40), (RandomSearch(), 80))
    )
    mine, random = (hypervolume(np.array([h.gains(t) for t in h.completed]), reference) for h in (found, drawn))
    assert mine > random


def test_the_relevances_are_kept_between_refits(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    fit = module.fit
    monkeypatch.setattr(module, "fit", lambda x, *rest: (counts.append(len(x)), fit(x, *rest))[1])
    Simulation(BayesianOptimization(), FLAT).run(64)
    assert counts == sorted(set(map(last_refit, range(5, 64))))
    assert [last_refit(count) for count in (5, 39, 41, 59, 61, 500)] == [5, 39, 40, 58, 60, 500]


def test_running_trials_spread_the_proposals() -> None:
    serial = Simulation(BayesianOptimization(), LARGE).run(20)
    batch = Simulation(BayesianOptimization(), LARGE)
    for event in serial.events:
        (batch.start if event.state is TrialState.RUNNING else lambda _: None)(event.architecture)
        if event.state is not TrialState.RUNNING:
            batch.history.update(event)
    for _ in range(6):
        assert batch.ask() is not None
    assert len(batch.history.running) == 6
    pending = LARGE.encode(trial.architecture for trial in batch.history.running)
    rng = np.random.default_rng(0)
    believing = acquired(BayesianOptimization(), LARGE, batch.history, rng).process
    without = acquired(BayesianOptimization(), LARGE, serial.history, rng).process
    assert believing.mean(pending) == pytest.approx(without.mean(pending), abs=1e-6)
    assert (believing.predict(pending)[1] < 0.9 * without.predict(pending)[1]).all()


def test_weights_of_options_count_and_fade() -> None:
    space = SearchSpace([Choice("a", ["x", "y"], weights=[9, 1]), Choice("b", range(3))])
    assert log_prior(space) == pytest.approx(np.log([1.8, 0.2, 1, 1, 1]))
    for trials in (2, 4):
        search = Simulation(RandomSearch(), space).run(trials)
        prior = acquired(BayesianOptimization(beta=6.0), space, search.history).log_prior
        assert prior == pytest.approx(log_prior(space) * 6 / trials)


def test_it_finds_the_optimum_of_a_large_space_in_few_trials() -> None:
    def smooth(trial: Trial) -> Outcome:
        options = [int(option) for option in trial.architecture.values()]
        return TrialState.COMPLETED, {"value": -float(sum((o - i % 5) ** 2 for i, o in enumerate(options)))}

    assert LARGE.size > module.WHOLE
    best = Simulation(BayesianOptimization(), LARGE, outcome=smooth).run(70).history.best
    drawn = Simulation(RandomSearch(), LARGE, outcome=smooth).run(70).history.best
    assert best is not None
    assert drawn is not None
    assert best.metrics["value"] >= -2 > drawn.metrics["value"]


def test_an_interrupted_search_goes_on_to_the_same_trials(tmp_path: Path) -> None:
    def evaluate(architecture: Architecture) -> float:
        return float(sum(int(option) * (i + 1) for i, option in enumerate(architecture.values())))

    whole = Search(LARGE, small(), evaluate, seed=3).run(25)
    path = tmp_path / "search.jsonl"
    Search(LARGE, small(), evaluate, seed=3, journal=path).run(11)
    resumed = Search(LARGE, small(), evaluate, seed=3, journal=path).run(25)
    assert [trial.architecture for trial in resumed.history] == [trial.architecture for trial in whole.history]


def test_copies_propose_the_same_and_show_their_parameters() -> None:
    strategy = BayesianOptimization(initial=3, beta=0.0)
    assert repr(strategy) == "BayesianOptimization(initial=3, candidates=500, beta=0.0)"
    search = Simulation(strategy, FLAT).run(12)
    expected = propose(strategy, FLAT, search.history, 0)
    for other in (copy.deepcopy(strategy), pickle.loads(pickle.dumps(strategy))):
        assert other == strategy
        assert propose(other, FLAT, search.history, 0) == expected


def test_a_space_without_a_choice_has_one_architecture() -> None:
    assert len(Simulation(BayesianOptimization(initial=1), SearchSpace([])).run(5).history) == 1


def test_relevances_of_many_choices_are_learned_from_fewer_trials() -> None:
    assert [fit_trials(choices) for choices in (1, 49, 250, 500, 5000)] == [200, 200, 200, 141, 44]
