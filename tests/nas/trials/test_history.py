from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Constraint, Objective
from autopanoptic.nas.trials.trial import Trial, TrialState

MAX = [Objective("value")]
TWO = [Objective("value"), Objective("cost", "min")]


def end(history: History, number: int, state: TrialState, metrics: Mapping[str, float] | None = None) -> None:
    history.update(Trial(number, history[number].architecture, state, metrics or {}))


def history_of(metrics: Sequence[Mapping[str, float]], objectives: Sequence[Objective] = MAX) -> History:
    history = History(objectives)
    for number, values in enumerate(metrics):
        history.add(Trial(number, Architecture({"a": number})))
        end(history, number, TrialState.COMPLETED, values)
    return history


def ids(trials: Sequence[Trial]) -> list[int]:
    return [trial.id for trial in trials]


@pytest.fixture
def mixed() -> History:
    """Five trials that ended in the order 3 (completed), 1 (failed), 0 (completed), 2 (stopped); 4 runs."""
    history = History(MAX)
    for number in range(5):
        history.add(Trial(number, Architecture({"a": number})))
    end(history, 3, TrialState.COMPLETED, {"value": 1.0})
    end(history, 1, TrialState.FAILED)
    end(history, 0, TrialState.COMPLETED, {"value": 2.0})
    end(history, 2, TrialState.STOPPED)
    return history


def test_trials_are_found_by_number_and_by_architecture(mixed: History) -> None:
    assert len(mixed) == 5
    assert ids(mixed) == ids(mixed[:]) == [0, 1, 2, 3, 4]
    assert mixed[3].metrics == {"value": 1.0}
    assert mixed[-1].state is TrialState.RUNNING
    assert all(Architecture({"a": number}) in mixed for number in range(5)), "running and failed ones too"
    assert Architecture({"a": 5}) not in mixed
    assert mixed.trial_of(Architecture({"a": 1})) is mixed[1]
    assert mixed.trial_of(Architecture({"a": 5})) is None


def test_parts_keep_the_order_in_which_trials_ended(mixed: History) -> None:
    assert ids(mixed.running) == [4]
    assert ids(mixed.finished) == [3, 1, 0, 2]
    assert ids(mixed.completed) == [3, 0]
    assert mixed.n_completed == 2
    assert ids(mixed.last_completed(1)) == [0]
    assert ids(mixed.last_completed(5)) == [3, 0]
    assert mixed.last_completed(0) == []


def test_the_lists_it_gives_are_copies(mixed: History) -> None:
    mixed.completed.clear()
    mixed.running.clear()
    assert mixed.n_completed == 2
    assert len(mixed.running) == 1


def test_only_completed_trials_are_ranked(mixed: History) -> None:
    assert ids(mixed.ranked()) == [0, 3]
    assert ids(mixed.ranked(mixed)) == [0, 3]
    assert ids(mixed.ranked(mixed[1:])) == [3]
    assert mixed.ranked(mixed.running) == []
    assert History(MAX).ranked() == History(TWO).ranked() == []


@pytest.mark.parametrize(("direction", "order"), [("max", [1, 3, 2, 0]), ("min", [0, 2, 1, 3])])
def test_one_objective_ranks_by_value_and_ties_keep_their_order(direction: str, order: list[int]) -> None:
    values = [{"value": 1.0}, {"value": 3.0}, {"value": 2.0}, {"value": 3.0}]
    history = history_of(values, [Objective("value", direction)])
    assert ids(history.ranked()) == order
    assert history.best is history[order[0]]
    assert history.gains(history[1]) == ((3.0,) if direction == "max" else (-3.0,))


def test_several_objectives_rank_by_front_and_crowding() -> None:
    metrics = [{"value": v, "cost": c} for v, c in [(0, 0), (1, 1), (2, 3), (4, 4), (0, 4)]]
    history = history_of(metrics, TWO)
    assert ids(history.pareto()) == [0, 1, 2, 3]
    assert ids(history.ranked()) == [0, 3, 2, 1, 4]
    assert history.best is history[3], "best is by the first objective"
    assert history.gains(history[2]) == (2, -3)


def test_the_best_of_equals_is_the_earliest_asked_for() -> None:
    history = History(MAX)
    for number in range(3):
        history.add(Trial(number, Architecture({"a": number})))
    for number in (2, 1, 0):
        end(history, number, TrialState.COMPLETED, {"value": 1.0})
    assert history.best is history[0]


def test_an_empty_history() -> None:
    history = History(TWO)
    assert len(history) == 0
    assert history.best is None
    assert history.pareto() == history.running == history.completed == []


def test_trials_are_added_in_order_and_once(mixed: History) -> None:
    with pytest.raises(ValueError, match="must be running and have id 5"):
        mixed.add(Trial(6, Architecture({"a": 9})))
    with pytest.raises(ValueError, match="must be running"):
        mixed.add(Trial(5, Architecture({"a": 9}), TrialState.COMPLETED, {"value": 1.0}))
    with pytest.raises(ValueError, match="Trial 1 has this architecture already"):
        mixed.add(Trial(5, Architecture({"a": 1})))
    assert len(mixed) == 5


def test_reports_of_a_running_trial(mixed: History) -> None:
    trial = Trial(4, mixed[4].architecture, reports=((1, {"value": 0.5}),))
    mixed.update(trial)
    assert mixed[4] is trial
    assert ids(mixed.running) == [4]


@pytest.mark.parametrize(
    ("number", "options", "state", "metrics", "message"),
    [
        (1, 1, TrialState.COMPLETED, {"value": 1.0}, "Trial 1 is not running, so it cannot become completed"),
        (7, 7, TrialState.FAILED, {}, "Trial 7 is not running"),
        (4, 9, TrialState.COMPLETED, {"value": 1.0}, r"Trial 4 is of Architecture\(\{'a': 4\}\), not"),
        (4, 4, TrialState.COMPLETED, {"accuracy": 1.0}, r"Trial 4 has no 'value'; its metrics are \['accuracy'\]"),
        (4, 4, TrialState.COMPLETED, {"value": float("nan")}, "'value' = nan, which cannot be ranked"),
        (4, 4, TrialState.COMPLETED, {"value": float("inf")}, "'value' = inf"),
    ],
)
def test_results_that_make_no_sense_are_refused(
    mixed: History, number: int, options: int, state: TrialState, metrics: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        mixed.update(Trial(number, Architecture({"a": options}), state, metrics))
    assert ids(mixed.running) == [4]
    assert mixed.n_completed == 2


# Constraints on metrics


def limited(metrics: Sequence[Mapping[str, float]], *, constraints: Sequence[Constraint]) -> History:
    history = History(TWO, constraints)
    for number, values in enumerate(metrics):
        history.add(Trial(number, Architecture({"a": number})))
        end(history, number, TrialState.COMPLETED, values)
    return history


def test_constraint_domination() -> None:
    metrics = [{"value": 9.0, "cost": 14.0}, {"value": 1.0, "cost": 10.0}, {"value": 8.0, "cost": 11.0}]
    history = limited([*metrics, {"value": 0.0, "cost": 10.0}], constraints=[Constraint("cost", 5, 10)])
    assert [history.violation(trial) for trial in history] == pytest.approx([0.4, 0, 0.1, 0])
    assert ids(history.ranked()) == [1, 3, 2, 0]
    assert history.best is history[1]
    assert ids(history.pareto()) == [1]


def test_violations_add_up_and_a_bound_of_zero_is_absolute() -> None:
    constraints = [Constraint("cost", 4, None), Constraint("value", None, 0)]
    history = limited([{"value": 2.0, "cost": 1.0}], constraints=constraints)
    assert history.violation(history[0]) == pytest.approx(0.75 + 2)
    assert history.best is None
    assert history.pareto() == []


def test_constrained_metric_must_be_there() -> None:
    with pytest.raises(ValueError, match="Trial 0 has no 'size'"):
        limited([{"value": 2.0, "cost": 1.0}], constraints=[Constraint("size", 4)])
