from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from copy import copy, deepcopy
from dataclasses import asdict, replace
from typing import Any

import cloudpickle
import pytest

from autopanoptic.nas import (
    Architecture,
    Choice,
    Evolution,
    Result,
    Search,
    SearchSpace,
    Stopper,
    Trial,
    TrialState,
)
from autopanoptic.nas.trials.reports import Reports
from autopanoptic.nas.trials.trial import with_changes

ARCHITECTURE = Architecture({"a": 1})
TRIALS = [
    Trial(0, ARCHITECTURE),
    Trial(0, ARCHITECTURE, reports=((1, {"value": 0.5}),)),
    Trial(0, ARCHITECTURE, TrialState.FAILED, error="x"),
    Trial(0, ARCHITECTURE, TrialState.STOPPED, reports=((1, {"value": 0.5}), (2, {}))),
    Trial(0, ARCHITECTURE, TrialState.COMPLETED, {"value": 1.0}, seconds=2.0),
]


@pytest.mark.parametrize("trial", TRIALS)
@pytest.mark.parametrize(
    "travel",
    [
        copy,
        deepcopy,
        lambda trial: pickle.loads(pickle.dumps(trial)),
        lambda trial: cloudpickle.loads(cloudpickle.dumps(trial)),
        lambda trial: Trial(**asdict(trial)),
    ],
)
def test_a_trial_in_any_state_can_be_copied_pickled_and_turned_into_a_dictionary(
    trial: Trial, travel: Callable[[Trial], Trial]
) -> None:
    there = travel(trial)
    assert there == trial
    assert there.reports == trial.reports
    assert replace(there, reports=(*there.reports, (3, {}))).reports[-1] == (3, {})


class StopsOdd(Stopper):
    def should_stop(self, history: Any, trial: Trial, step: int, metrics: Mapping[str, float]) -> bool:
        return trial.id % 2 == 1


def result_of_everything() -> Result:
    """Trials that completed, were stopped, failed and run, of a search with a lambda as bounded cost."""
    space = SearchSpace([Choice("a", range(9)), Choice("b", range(9))], canonical=lambda a: a)

    def evaluate(architecture: Architecture, report: Any) -> float:
        report(1, {"value": 0.0})
        if architecture["a"] == architecture["b"]:
            raise ValueError("equal")
        return float(architecture["a"])

    search = Search(
        space,
        Evolution(8),
        evaluate,
        costs={"sum": lambda a: a["a"] + a["b"]},  # type: ignore[dict-item, return-value, operator]
        constraints={"sum": (None, 12)},
        stopper=StopsOdd(),
    )
    search.run(24)
    search.ask()
    return search.result()


@pytest.mark.parametrize(
    "travel", [deepcopy, lambda r: pickle.loads(pickle.dumps(r)), lambda r: cloudpickle.loads(cloudpickle.dumps(r))]
)
def test_a_result_travels(travel: Callable[[Result], Result]) -> None:
    result = result_of_everything()
    there = travel(result)
    assert list(there.history) == list(result.history)
    assert there.history is not result.history
    assert there.to_json() == result.to_json()
    assert there.history.finished == result.history.finished
    assert there.pareto() == result.pareto()
    assert there.option_counts() == result.option_counts()
    assert there.history.trial_of(result.best.architecture) == result.best
    assert len({trial.state for trial in there.history}) == 4


def test_reports_grow_without_copies() -> None:
    """All that grow from one another share one list, so n reports take n appends and not n * n / 2 copies."""
    trial, shared = Trial(0, ARCHITECTURE), None
    for step in range(500):
        reports = trial.reports
        assert isinstance(reports, Reports)
        trial = replace(trial, reports=reports.followed_by(step, {"value": 1.0}))
        assert isinstance(trial.reports, Reports)
        shared = shared or trial.reports._shared
        assert trial.reports._shared is shared


def test_reports_never_change() -> None:
    none: Sequence[Any] = Reports()
    one = Reports().followed_by(1, {"a": 1.0})
    two, other = one.followed_by(2, {}), one.followed_by(3, {})
    assert (tuple(none), tuple(one)) == ((), ((1, {"a": 1.0}),))
    assert [step for step, _ in two] == [1, 2]
    assert [step for step, _ in other] == [1, 3]
    assert (two.continues(one), other.continues(one), one.continues(two)) == (True, False, False)
    assert (two[-1], two[0], two[1:], one[5:]) == ((2, {}), (1, {"a": 1.0}), ((2, {}),), ())
    assert two == ((1, {"a": 1.0}), (2, {})) != other
    assert two != [*two]
    with pytest.raises(IndexError):
        one[1]


def test_a_change_of_what_a_trial_does_not_have_is_refused() -> None:
    trial = Trial(0, Architecture({"width": 1}))
    assert with_changes(trial, seconds=2.0) == Trial(0, Architecture({"width": 1}), seconds=2.0)
    with pytest.raises(AttributeError, match="second"):
        with_changes(trial, second=2.0)
