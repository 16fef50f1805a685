from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Constraint, Objective
from autopanoptic.nas.trials.trial import Trial, TrialState
from autopanoptic.strategies.bayesian.targets import levels, normal_scores, subset
from autopanoptic.strategies.testing import FLAT

DONE, STOPPED = TrialState.COMPLETED, TrialState.STOPPED
TWO = (Objective("gain"), Objective("loss", "min"))


def history_of(trials: list[tuple[TrialState, dict[str, float]]], *objectives: Objective) -> History:
    history = History(objectives, [Constraint("cost", None, 1.0)])
    for architecture, (state, metrics) in zip(FLAT, trials, strict=False):
        trial = Trial(len(history), architecture)
        history.add(trial)
        history.update(Trial(trial.id, architecture, state, metrics))
    return history


def test_targets_are_the_normal_quantiles_of_the_ranks() -> None:
    found = normal_scores(np.array([30.0, -1e9, 30.0, 4.0]))
    assert stats.norm.cdf(found) == pytest.approx(np.array([3.5, 1, 3.5, 2]) / 5)


def test_stopped_trials_that_reported_nothing_rank_as_the_worst_and_violations_below_all_that_are_allowed() -> None:
    done = TrialState.COMPLETED
    history = history_of(
        [
            (done, {"value": 1.0, "cost": 0.5}),
            (done, {"value": 9.0, "cost": 3.0}),
            (TrialState.STOPPED, {}),
            (done, {"value": 2.0, "cost": 1.0}),
            (done, {"value": 7.0, "cost": 2.0}),
        ],
        Objective("value"),
    )
    assert levels(history, history.finished, np.ones(1)).tolist() == [2, 0, 0, 3, 1]


def test_several_objectives_rank_by_the_augmented_tchebycheff_function() -> None:
    points = [(0.0, 0.0), (10.0, 4.0), (4.0, 1.0), (10.0, 2.0)]
    history = history_of([(TrialState.COMPLETED, {"gain": a, "loss": b, "cost": 0}) for a, b in points], *TWO)
    weights = np.array([0.7, 0.3])
    losses = [np.array([0.7 * (10 - a) / 10, 0.3 * b / 4]) for a, b in points]
    expected = [loss.max() + 0.05 * loss.sum() for loss in losses]
    assert stats.rankdata(levels(history, history.finished, weights)) == pytest.approx(5 - stats.rankdata(expected))


def test_a_subset_has_the_best_half_and_a_spread_of_the_rest() -> None:
    targets = np.random.default_rng(0).permutation(1000).astype(float)
    rows = subset(targets, 100)
    kept = np.sort(targets[rows])[::-1]
    assert len(set(rows.tolist())) == 100
    assert kept[:50].tolist() == list(range(999, 949, -1))
    assert kept[-1] == 0
    assert np.diff(-kept[50:]).max() < 21
    assert subset(targets, 1000).tolist() == list(range(1000))


def reported(values: list[tuple[TrialState, list[float], float]], *objectives: Objective) -> History:
    """Return trials by their state, their reports from step 1 on, and their value at the end; all cost 1."""
    history = History(objectives)
    for architecture, (state, reports, value) in zip(FLAT, values, strict=False):
        trial = Trial(len(history), architecture)
        history.add(trial)
        steps = [(step, {"gain": report}) for step, report in enumerate(reports, 1)]
        metrics = {"gain": value, "loss": 1.0} if state is DONE else {}
        history.update(Trial(trial.id, architecture, state, metrics, steps))
    return history


@pytest.mark.parametrize("objectives", [(Objective("gain"),), TWO])
def test_stopped_trials_rank_where_they_stood_at_their_last_report(objectives: tuple[Objective, ...]) -> None:
    # Of five completed trials two had less than 0.25 after step 1: 2/5 of the way from 10 to 50 lies 26.
    trials = [(DONE, [0.1 * n], 10.0 * n) for n in (1, 2, 3, 4, 5)]
    history = reported([*trials, (STOPPED, [0.25], 0.0), (STOPPED, [0.05], 0.0)], *objectives)
    weights = np.eye(len(objectives))[0]
    assert levels(history, history.finished, weights).tolist() == [1, 2, 4, 5, 6, 3, 0]


def test_what_was_reported_at_different_steps_is_not_compared() -> None:
    # At step 1 all had little, and the stopped one more than any other; the large values of step 2 do not matter.
    history = reported([(DONE, [1, 100], 10.0), (DONE, [2, 200], 20.0), (STOPPED, [3], 0.0)], Objective("gain"))
    assert levels(history, history.finished, np.ones(1)).tolist() == [0, 1, 2]


def test_less_is_better_of_an_objective_to_be_minimised() -> None:
    history = History([Objective("gain", "min")])
    for architecture, (state, report, value) in zip(FLAT, [(DONE, 1, 5), (DONE, 2, 6), (STOPPED, 3, 0)], strict=False):
        trial = Trial(len(history), architecture)
        history.add(trial)
        metrics = {"gain": float(value)} if state is DONE else {}
        history.update(Trial(trial.id, architecture, state, metrics, [(1, {"gain": float(report)})]))
    assert levels(history, history.finished, np.ones(1)).tolist() == [2, 1, 0]


def test_a_stopped_trial_that_breaks_a_constraint_ranks_below_all_that_are_allowed() -> None:
    history = History([Objective("gain")], [Constraint("memory", None, 4.0)])
    trials = [(DONE, 0.5, 1.0), (DONE, 0.7, 3.0), (DONE, 0.9, 5.0), (STOPPED, 0.95, 10.0), (STOPPED, 0.6, 2.0)]
    for architecture, (state, gain, memory) in zip(FLAT, trials, strict=False):
        trial = Trial(len(history), architecture)
        history.add(trial)
        metrics = {"gain": gain, "memory": memory}
        history.update(Trial(trial.id, architecture, state, metrics if state is DONE else {}, [(1, metrics)]))
    found = levels(history, history.finished, np.ones(1)).tolist()
    assert found[3] < found[2] < found[0] < found[4] < found[1]


def test_the_last_report_with_the_objective_counts() -> None:
    history = reported([(DONE, [1], 10.0), (DONE, [3], 30.0)], Objective("gain"))
    trial = Trial(len(history), list(FLAT)[5])
    history.add(trial)
    reports = [(1, {"gain": 2.0}), (2, {"loss": 1.0})]
    history.update(Trial(trial.id, trial.architecture, STOPPED, {}, reports))
    assert levels(history, history.finished, np.ones(1)).tolist() == [0, 2, 1]


def test_stopped_trials_below_all_others_rank_by_the_last_step_and_then_by_their_reports_there() -> None:
    # As where trials are paused at rungs: whoever has gone on was better than they are.
    stopped = [(STOPPED, [0.2], 0.0), (STOPPED, [0.4], 0.0), (STOPPED, [0.5, 0.1], 0.0), (STOPPED, [0.5, 0.2], 0.0)]
    history = reported([(DONE, [0.6, 0.7], 10.0), (DONE, [0.8, 0.9], 20.0), *stopped], Objective("gain"))
    assert levels(history, history.finished, np.ones(1)).tolist() == [4, 5, 0, 1, 2, 3]


def test_with_several_objectives_stopped_trials_rank_where_they_stood_by_all_of_them() -> None:
    history = History(TWO)
    trials = [(DONE, (1.0, 9.0)), (DONE, (4.0, 5.0)), (DONE, (9.0, 1.0)), (STOPPED, (6.0, 3.0)), (STOPPED, (0.0, 9.9))]
    for architecture, (state, (gain, loss)) in zip(FLAT, trials, strict=False):
        trial = Trial(len(history), architecture)
        history.add(trial)
        early = {"gain": gain / 10, "loss": loss * 10}
        metrics = {"gain": gain, "loss": loss, "cost": 0.0} if state is DONE else {}
        history.update(Trial(trial.id, architecture, state, metrics, [(1, early)]))
    assert levels(history, history.finished, np.array([0.5, 0.5])).tolist() == [1, 2, 4, 3, 0]
