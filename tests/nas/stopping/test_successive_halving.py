from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopanoptic.nas import (
    Architecture,
    Choice,
    Constraint,
    History,
    Objective,
    Search,
    SearchError,
    SearchSpace,
    TrialState,
)
from autopanoptic.nas.stopping.successive_halving import SuccessiveHalving
from autopanoptic.nas.storage.events import changed, enter
from autopanoptic.strategies import Evolution, RandomSearch, RegularizedEvolution, Strategy

VALUE = (Objective("value"),)


def apply(history: History, event: Mapping[str, Any]) -> None:
    enter(history, event, changed(history, event))


class Game:
    """A history that is played event by event."""

    def __init__(
        self, stopper: SuccessiveHalving, objectives: tuple[Objective, ...] = VALUE, *constraints: Constraint
    ) -> None:
        self.stopper = stopper
        self.history = History(objectives, constraints)

    def begin(self) -> int:
        number = len(self.history)
        apply(self.history, {"event": "asked", "trial": number, "architecture": {"a": number}})
        return number

    def report(self, trial: int, step: int, metrics: Mapping[str, float] | float) -> bool:
        """Return whether the trial stops; it has to be ended by the caller."""
        found = metrics if isinstance(metrics, Mapping) else {"value": metrics}
        apply(self.history, {"event": "reported", "trial": trial, "step": step, "metrics": found})
        return self.stopper.should_stop(self.history, self.history[trial], step, found)

    def end(self, trial: int, kind: str = "completed") -> None:
        apply(self.history, {"event": kind, "trial": trial, "metrics": {"value": 0.0}, "error": "broken"})

    def run(self, *values: float, step: int = 1, every: int = 1) -> bool:
        """Play one trial with these values at ``step``, ``step + every``, ...; return whether it was stopped."""
        trial = self.begin()
        for number, value in enumerate(values):
            if self.report(trial, step + number * every, value):
                self.end(trial, "stopped")
                return True
        self.end(trial)
        return False


# Promotion by hand


def test_one_rung_by_hand() -> None:
    game = Game(SuccessiveHalving(reduction=3))
    # value, trials at the rung with it, how many may go on, how many are better, so: does it stop?
    for value, stops in [
        (5.0, False),  # 1 of 1, the first
        (3.0, True),  # 2: the best one goes on, and 5 is better
        (8.0, False),  # 3: 1 goes on, none is better
        (6.0, True),  # 4: 1, and 8 is better
        (9.0, False),  # 5: 1, none is better
        (7.0, True),  # 6: 2, and 8 and 9 are better
        (8.5, False),  # 7: 2, only 9 is better
        (8.0, True),  # 8: 2, and 9 and 8.5 are better
        (8.2, False),  # 9: 3, and 9 and 8.5 are better
        (8.2, False),  # 10: 3, and two are better: it ties with the last that goes on
        (8.1, True),  # 11: 3, and four are better
    ]:
        assert game.run(value) is stops, value


def test_less_may_be_better() -> None:
    most, least = Game(SuccessiveHalving()), Game(SuccessiveHalving(), (Objective("value", "min"),))
    for value in (5.0, 3.0, 8.0, 6.0, 9.0, 7.0, 8.5, 8.0, 8.2, 8.2, 8.1):
        assert most.run(value) is least.run(-value)


def test_rungs_by_hand() -> None:
    game = Game(SuccessiveHalving(min_step=2, reduction=2))  # rungs 2, 4, 8
    runs = [
        # values at the steps 1, 2, ...; after how many reports it is stopped
        ([9.0, 5, 5, 5, 5, 5, 5, 5], None),  # the first at each rung
        ([0.0, 6, 0, 4, 9, 9, 9, 9], 4),  # rung 2: 6 > 5. rung 4: 1 of 2 goes on, and 5 is better than 4
        ([9.0, 5, 9], 2),  # rung 2 holds 5, 6, 5: 1 of 3, and 6 is better
        ([0.0, 6, 0, 6, 0, 0, 0, 4], 8),  # rung 2: 2 of 4, none better. rung 4: 5, 4, 6. rung 8: 5, 4
        ([0.0, 7, 0, 5, 0, 0, 0, 5], None),  # rung 4: 5, 4, 6, 5: 2 of 4, and 6 is better. rung 8: 5, 4, 5: a tie
    ]
    for values, stopped_after in runs:
        stopped = game.run(*values)
        last = game.history[-1]
        assert (len(last.reports) if stopped else None) == stopped_after, (values, last)


def test_equal_values_all_go_on() -> None:
    game = Game(SuccessiveHalving())
    assert not any(game.run(0.5, 0.5, 0.5) for _ in range(20))


def test_trials_are_compared_with_running_ones_and_a_decision_is_not_revised() -> None:
    game = Game(SuccessiveHalving(reduction=2))
    first, second, third, fourth = (game.begin() for _ in range(4))
    assert not game.report(first, 1, 1.0)
    assert not game.report(second, 1, 3.0)
    assert game.report(third, 1, 2.0), "the second is better and still runs"
    assert not game.report(first, 1, 0.0), "it has passed the rung, and later reports at its step do not count"
    assert not game.report(fourth, 1, 2.5), "2 of 4, and only the second is better"
    assert game.report(first, 2, 1.0) is False
    assert game.report(fourth, 2, 0.5), "rung 2 holds 1.0 of the first"


def test_stopped_and_completed_trials_count_and_failed_ones_do_not() -> None:
    for kind, stops in [("completed", True), ("stopped", True), ("failed", False)]:
        game = Game(SuccessiveHalving())
        better = game.begin()
        game.report(better, 1, 9.0)
        worse = game.begin()
        assert game.report(worse, 1, 1.0), "the other one runs"
        game.end(worse, "failed")
        game.end(better, kind)
        assert game.run(5.0) is stops, kind


def test_reports_of_a_trial_that_is_run_again_are_void() -> None:
    game = Game(SuccessiveHalving())
    first, second = game.begin(), game.begin()
    game.report(first, 1, 9.0)
    apply(game.history, {"event": "restarted", "trial": first})
    assert not game.report(second, 1, 5.0)
    assert not game.report(first, 1, 9.0), "it is decided anew"


def test_a_trial_that_breaks_a_constraint_is_behind_all_that_break_none() -> None:
    for objectives in (VALUE, (*VALUE, Objective("cost", "min"))):
        game = Game(SuccessiveHalving(reduction=2), objectives, Constraint("memory", None, 10))
        for value, memory, stops in [(9.0, 20.0, False), (1.0, 5.0, False), (8.0, 12.0, True), (2.0, 10.0, False)]:
            report = {"value": value, "cost": 1.0, "memory": memory}
            assert game.report(game.begin(), 1, report) is stops, (value, memory)
        assert not game.report(game.begin(), 1, {"value": 5.0, "cost": 1.0}), "what is not reported is not regarded"


# Steps


def test_nothing_is_decided_between_rungs() -> None:
    game = Game(SuccessiveHalving(min_step=3, reduction=3))  # 3, 9, 27
    assert not game.run(*[9.0] * 30)
    trial = game.begin()
    assert [step for step in range(1, 10) if game.report(trial, step, 9.0 if step == 3 else 0.0)] == [9]


def test_the_first_report_after_a_rung_counts_and_may_pass_several() -> None:
    game = Game(SuccessiveHalving(reduction=2))  # 1, 2, 4, 8
    assert not game.run(4.0, 5.0, step=3, every=2)  # 4 at the rungs 1 and 2, 5 at rung 4
    assert game.run(3.0, step=1)
    assert game.run(6.0, 3.0, step=1), "4 at rung 2 is better"
    assert not game.run(6.0, 6.0, step=2, every=5), "at the steps 2 and 7"
    assert game.run(5.5, step=4), "rung 1 holds 4, 3, 6, 6, and two of five go on"


def test_steps_that_go_back_change_nothing() -> None:
    game = Game(SuccessiveHalving(min_step=9))
    trial = game.begin()
    assert not any(game.report(trial, step, value) for step, value in [(9, 5.0), (1, 0.0), (9, 7.0)])
    assert not game.run(6.0, step=9), "5 stands at the rung"


def test_early_stopping_rate_leaves_rungs_out() -> None:
    for rate, rungs in [(0, [1, 3, 9]), (1, [3, 9]), (2, [9])]:
        game = Game(SuccessiveHalving(early_stopping_rate=rate))
        assert not game.run(*[1.0] * 10)
        trial = game.begin()
        assert [step for step in range(1, 11) if game.report(trial, step, 0.0)] == rungs


def test_max_step_is_no_rung() -> None:
    for last, stopped in [(None, True), (9, False), (10, True)]:
        game = Game(SuccessiveHalving(max_step=last))
        assert not game.run(*[1.0] * 9)
        assert game.run(*[1.0] * 8, 0.0) is stopped


# Metrics and parameters


def test_another_metric_may_be_compared_in_the_direction_of_the_objective() -> None:
    game = Game(SuccessiveHalving(metric="error"), (Objective("value", "min"),))
    for error, stops in [(5.0, False), (6.0, True), (4.0, False)]:
        trial = game.begin()
        assert game.report(trial, 1, {"error": error, "value": -error}) is stops


def test_report_without_the_metric_says_so() -> None:
    game = Game(SuccessiveHalving())
    with pytest.raises(ValueError, match=r"by 'value', but trial 0 reported only \['loss'\] at step 2"):
        game.report(game.begin(), 2, {"loss": 1.0})


def test_a_search_whose_reports_lack_the_metric_ends_with_the_reason() -> None:
    def evaluate(architecture: Architecture, report: Callable[..., None]) -> float:
        report(1, {"loss": 1.0})
        return 1.0

    search = Search(SPACE, RandomSearch(), evaluate, stopper=SuccessiveHalving())
    with pytest.raises(SearchError, match="SuccessiveHalving compares trials by 'value'"):
        search.run(20)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"min_step": 0}, "min_step to be a whole number of at least 1, not 0"),
        ({"reduction": 1}, "reduction to be a whole number of at least 2, not 1"),
        ({"reduction": 2.5}, "reduction"),
        ({"early_stopping_rate": -1}, "early_stopping_rate"),
        ({"max_step": 0}, "max_step"),
        ({"min_step": 9, "max_step": 9}, "first rung, step 9, is not below max_step=9"),
        ({"early_stopping_rate": 2, "max_step": 9}, "first rung, step 9"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SuccessiveHalving(**given)


def test_repr_shows_the_parameters_alone() -> None:
    stopper = SuccessiveHalving(max_step=27)
    given = "min_step=1, reduction=3, early_stopping_rate=0, max_step=27, metric=None"
    expected = f"SuccessiveHalving({given}, by='non-domination', spread='epsilon-net')"
    assert repr(stopper) == expected
    game = Game(stopper)
    game.run(1.0, 1.0)
    assert repr(stopper) == expected


# The whole of it, against a rescan of the history


def stops_by_rescan(history: History, trial: int, reduction: int) -> bool:
    """The rule in words: of all values at a rung that the last report reaches, it must be among the best."""

    def values(number: int, reports: Any) -> dict[int, float]:
        rungs = [reduction**k for k in range(6)]
        passed = {rung: [metrics["value"] for step, metrics in reports if step >= rung] for rung in rungs}
        return {rung: found[0] for rung, found in passed.items() if found}

    others = [t for t in history if t.id != trial and t.state is not TrialState.FAILED]
    own = values(trial, history[trial].reports)
    for rung in own.keys() - values(trial, history[trial].reports[:-1]).keys():
        at_rung = sorted([v[rung] for t in others if rung in (v := values(t.id, t.reports))] + [own[rung]])
        if own[rung] < at_rung[-max(1, len(at_rung) // reduction)]:
            return True
    return False


@settings(max_examples=60, deadline=None)
@given(data=st.data(), reduction=st.integers(2, 4))
def test_decisions_equal_those_of_a_rescan(data: st.DataObject, reduction: int) -> None:
    """Also with trials that run side by side, end in any way, are run again, and report other metrics beside."""
    game = Game(SuccessiveHalving(reduction=reduction))
    for _ in range(data.draw(st.integers(5, 40))):
        running = [trial.id for trial in game.history.running]
        if not running or (len(running) < 4 and data.draw(st.booleans())):
            running.append(game.begin())
        trial = data.draw(st.sampled_from(running))
        reports = game.history[trial].reports
        step = (reports[-1][0] if reports else 0) + data.draw(st.integers(1, 3))
        noise = data.draw(st.floats(-1e6, 1e6))
        stopped = game.report(trial, step, {"value": float(data.draw(st.integers(0, 5))), "other": noise})
        assert stopped is stops_by_rescan(game.history, trial, reduction)
        if stopped:
            game.end(trial, "stopped")
        elif data.draw(st.integers(0, 3)) == 0:
            kind = data.draw(st.sampled_from(["completed", "failed", "restarted"]))
            if kind == "restarted":
                apply(game.history, {"event": kind, "trial": trial})
            else:
                game.end(trial, kind)


# In searches

SPACE = SearchSpace(Choice(f"c{i}", range(5)) for i in range(4))
LAST = 9


def quality(architecture: Architecture) -> float:
    return float(sum(int(option) for option in architecture.values()))


def curve(architecture: Architecture, report: Callable[..., None]) -> float:
    """A learning curve: better architectures are ahead from the start, by and large."""
    bend = hash_of(architecture)
    for step in range(1, LAST + 1):
        report(step, {"value": quality(architecture) * (1 - 0.5 / step) + bend / step})
    return quality(architecture)


def hash_of(architecture: Architecture) -> float:
    return sum((3 * number + 1) * int(option) for number, option in enumerate(architecture.values())) % 7 / 3


STRATEGIES: list[Callable[[], Strategy]] = [
    RandomSearch,
    lambda: Evolution(population=15, parents=4),
    lambda: RegularizedEvolution(population=15, sample=4),
]


def events(search: Search) -> list[Any]:
    return [(t.id, t.architecture, t.state, dict(t.metrics), t.reports) for t in search.history]


@pytest.mark.parametrize("make", STRATEGIES, ids=lambda make: repr(make()))
def test_it_saves_work_with_any_strategy_and_keeps_good_trials(make: Callable[[], Strategy]) -> None:
    search = Search(SPACE, make(), curve, stopper=SuccessiveHalving(max_step=LAST), seed=1)
    result = search.run(60)
    steps = sum(len(trial.reports) for trial in result.history)
    assert len(result.history) == 60
    assert 0 < result.history.n_completed < 30
    assert steps < 0.6 * 60 * LAST
    values = sorted((quality(trial.architecture) for trial in result.history), reverse=True)
    assert result.best.metrics["value"] >= values[2]


class Interrupted:
    """The same curve, with Ctrl-C at one of its reports."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, architecture: Architecture, report: Callable[..., None]) -> float:
        def counted(step: int, metrics: Mapping[str, float]) -> None:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
            report(step, metrics)

        return curve(architecture, counted)


@pytest.mark.parametrize("make", STRATEGIES, ids=lambda make: repr(make()))
def test_an_interrupted_search_makes_the_same_decisions(make: Callable[[], Strategy], tmp_path: Path) -> None:
    whole = Search(SPACE, make(), curve, stopper=SuccessiveHalving(max_step=LAST))
    whole.run(24)
    for at in (1, 40):
        journal = tmp_path / f"{at}.jsonl"
        cut = Search(SPACE, make(), Interrupted(at), stopper=SuccessiveHalving(max_step=LAST), journal=journal)
        with pytest.raises(KeyboardInterrupt):
            cut.run(24)
        resumed = Search(SPACE, make(), curve, stopper=SuccessiveHalving(max_step=LAST), journal=journal)
        resumed.run(24)
        assert events(resumed) == events(whole)
    assert whole.history.n_completed < 24
