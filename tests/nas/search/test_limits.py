from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from autopanoptic.nas import (
    Architecture,
    Choice,
    Context,
    Executor,
    FunctionEvaluator,
    GridSearch,
    InlineExecutor,
    ProcessExecutor,
    Result,
    Search,
    SearchSpace,
    TrialState,
)
from autopanoptic.nas.executors.base import NO_CONTEXT, Outcome
from autopanoptic.nas.search.limits import Limits

cloudpickle.register_pickle_by_value(sys.modules[__name__])

SPACE = SearchSpace([Choice("a", range(4))])


def hangs_at_one(architecture: Architecture) -> float:
    while architecture["a"] == 1:
        time.sleep(0.01)
    return float(architecture["a"])


def hangs_reporting(architecture: Architecture, report: Callable[..., None]) -> float:
    step = 0
    while architecture["a"] == 1:
        time.sleep(0.01)
        report(step := step + 1, {"value": 0.0})
    return float(architecture["a"])


def states(result: Result) -> list[TrialState]:
    return [trial.state for trial in result.history]


ONE_FAILED = [TrialState.COMPLETED, TrialState.FAILED, TrialState.COMPLETED, TrialState.COMPLETED]


def test_a_worker_that_hangs_is_ended_and_fails_its_trial() -> None:
    result = Search(SPACE, GridSearch(), hangs_at_one, executor=ProcessExecutor(1), trial_seconds=3).run()
    assert states(result) == ONE_FAILED
    assert result.history[1].error == "The evaluation took longer than trial_seconds=3, so it was ended."
    assert result.history[1].seconds == 3


def test_in_this_process_a_trial_ends_at_its_next_report(tmp_path: Path) -> None:
    search = Search(SPACE, GridSearch(), hangs_reporting, trial_seconds=0.05, journal=tmp_path / "j")
    result = search.run()
    assert states(result) == ONE_FAILED
    assert "longer than trial_seconds=0.05" in (result.history[1].error or "")
    assert len(result.history[1].reports) < 8
    assert list(Result.from_journal(tmp_path / "j").history) == list(result.history)


def test_what_ends_late_without_a_report_counts() -> None:
    def slow(architecture: Architecture) -> float:
        time.sleep(0.02)
        return 1.0

    assert Search(SPACE, GridSearch(), slow, trial_seconds=0.01).run().history.n_completed == 4


class Hanging(InlineExecutor):
    """Evaluates all but trial 1 at once, and waits for that as long as it is let."""

    capacity = 3

    def start(self, evaluator: Any, on_report: Any, *, answers: bool = True, **others: Any) -> None:
        super().start(evaluator, on_report, answers=answers, **others)
        self.ended = list[Outcome]()

    def submit(self, trial_id: int, architecture: Architecture, context: Context = NO_CONTEXT) -> None:
        if trial_id != 1:
            self.ended.append(Outcome(trial_id, {"value": float(trial_id)}))

    def wait(self, timeout: float | None = None) -> Outcome | None:
        if self.ended:
            return self.ended.pop(0)
        assert timeout is not None
        time.sleep(timeout)
        return None


@pytest.mark.parametrize("ordered", [False, True])
def test_a_run_returns_by_its_grace_and_what_ran_is_run_again(tmp_path: Path, ordered: bool) -> None:
    def make(**values: Any) -> Search:
        return Search(SPACE, GridSearch(), hangs_at_one, ordered=ordered, journal=tmp_path / "j", **values)

    result = make(executor=Hanging()).run(seconds=0.1, grace=0.1)
    assert result.ended == "seconds"
    # In ordered mode trials 2 and 3 are held back by trial 1 until its turn; they were finished, so they are not lost.
    assert [trial.id for trial in result.history.completed] == ([0] if ordered else [0, 2, 3])
    events = [json.loads(line) for line in (tmp_path / "j").read_text().splitlines()]
    assert [event["trials"] for event in events if event["event"] == "interrupted"] == [[1]]
    assert list(Result.from_journal(tmp_path / "j").history) == list(result.history)
    again = Search(SPACE, GridSearch(), lambda a: 9.0, ordered=ordered, journal=tmp_path / "j").run()
    assert again.history[1].metrics == {"value": 9.0}
    assert again.history[2].metrics == {"value": 2.0}


@pytest.mark.parametrize("key", [KeyboardInterrupt, RuntimeError])
def test_what_is_held_back_is_kept_when_the_search_is_interrupted(tmp_path: Path, key: type[BaseException]) -> None:
    class Interrupted(Hanging):
        def wait(self, timeout: float | None = None) -> Outcome | None:
            if self.ended:
                return super().wait(timeout)
            raise key

    search = Search(SPACE, GridSearch(), hangs_at_one, executor=Interrupted(), ordered=True, journal=tmp_path / "j")
    with pytest.raises(key):
        search.run()
    assert [trial.id for trial in search.history.completed] == [0], "the others come when it is their turn"
    assert list(Result.from_journal(tmp_path / "j").history) == list(search.history)
    again = Search(SPACE, GridSearch(), lambda a: 9.0, ordered=True, journal=tmp_path / "j").run()
    assert [trial.metrics["value"] for trial in again.history] == [0.0, 9.0, 2.0, 3.0]


class Bundled(Hanging):
    """Hands out one of the results that it has, and has more when the time is over; trial 1 never ends."""

    now = 0.0

    def wait(self, timeout: float | None = None) -> Outcome | None:
        if timeout != 0 and len(self.ended) < 2:
            Bundled.now += 100
            return None
        return super().wait(timeout)


@pytest.mark.parametrize("ordered", [False, True])
def test_what_has_ended_at_the_end_of_the_grace_is_kept(monkeypatch: pytest.MonkeyPatch, ordered: bool) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: Bundled.now)
    search = Search(SPACE, GridSearch(), hangs_at_one, executor=Bundled(), ordered=ordered)
    result = search.run(seconds=10, grace=10)
    assert [trial.id for trial in result.history.completed] == ([0] if ordered else [0, 2, 3])
    search.executor = InlineExecutor()
    search.evaluator = FunctionEvaluator(lambda a: 9.0)
    assert [trial.metrics["value"] for trial in search.run().history] == [0.0, 9.0, 2.0, 3.0]


class Failing(Hanging):
    """All trials but the last fail, and all end at once."""

    capacity = 4

    def submit(self, trial_id: int, architecture: Architecture, context: Context = NO_CONTEXT) -> None:
        self.ended.append(Outcome(trial_id, {"value": 1.0} if trial_id == 3 else None, None if trial_id == 3 else "no"))


def test_what_has_ended_is_kept_when_failures_end_the_search(tmp_path: Path) -> None:
    search = Search(SPACE, GridSearch(), hangs_at_one, executor=Failing(), max_failures=1, journal=tmp_path / "j")
    with pytest.raises(RuntimeError, match="The last 1 trials failed"):
        search.run()
    assert [trial.state.value for trial in search.history] == ["failed", "failed", "failed", "completed"]
    assert list(Result.from_journal(tmp_path / "j").history) == list(search.history)


class GettingReady(InlineExecutor):
    """Takes three waits, each longer than a trial may take, until an evaluation begins; can end any."""

    def submit(self, trial_id: int, architecture: Architecture, context: Context = NO_CONTEXT) -> None:
        super().submit(trial_id, architecture, context)
        self.waits = 3

    def has_begun(self, trial_id: int) -> bool:
        return not self.waits

    def wait(self, timeout: float | None = None) -> Outcome | None:
        if not self.waits:
            return super().wait()
        self.waits -= 1
        time.sleep(0.02)
        return None

    def abandon(self, trial_id: int) -> bool:
        return True


def test_the_time_that_a_worker_takes_to_get_ready_is_not_the_trials() -> None:
    result = Search(SPACE, GridSearch(), lambda a: 1.0, executor=GettingReady(), trial_seconds=0.01).run()
    assert states(result) == [TrialState.COMPLETED] * 4


def test_worker_processes_are_ended_by_then() -> None:
    space = SearchSpace([Choice("a", [1])])
    result = Search(space, GridSearch(), hangs_at_one, executor=ProcessExecutor(1)).run(seconds=0.2, grace=0.1)
    assert states(result) == [TrialState.RUNNING]


def test_in_this_process_a_run_ends_at_the_next_report(tmp_path: Path) -> None:
    search = Search(SPACE, GridSearch(), hangs_reporting, journal=tmp_path / "j")
    result = search.run(seconds=0.5, grace=0.02)
    assert states(result) == [TrialState.COMPLETED, TrialState.RUNNING]
    assert result.ended == Result.from_journal(tmp_path / "j").ended == "seconds"


class Distant:
    """An executor that cannot end what it has begun: a trial goes on until it is told to stop when it reports."""

    capacity = 2

    def start(self, evaluator: Any, on_report: Any, *, answers: bool = True, **others: Any) -> None:
        self.on_report, self.begun = on_report, list[int]()

    def submit(self, trial_id: int, architecture: Architecture, context: Context = NO_CONTEXT) -> None:
        self.begun.append(trial_id)

    def has_begun(self, trial_id: int) -> bool:
        return True

    def wait(self, timeout: float | None = None) -> Outcome | None:
        time.sleep(0.005)
        if not self.on_report(self.begun[0], 1, {"value": 1.0}):
            return None
        return Outcome(self.begun.pop(0), stopped=True)

    def abandon(self, trial_id: int) -> bool:
        return False

    def stop(self) -> None:
        self.begun = []


def test_what_cannot_be_ended_is_told_at_its_next_report() -> None:
    search = Search(SPACE, GridSearch(), hangs_at_one, executor=Distant(), trial_seconds=0.02)
    with pytest.raises(RuntimeError, match=r"All 4 trials failed(.|\n)*longer than trial_seconds=0.02"):
        search.run()


def test_an_executor_hears_whether_anybody_stops_trials() -> None:
    heard = []

    class Listening(InlineExecutor):
        def start(self, evaluator: Any, on_report: Any, *, answers: bool = True, **others: Any) -> None:
            heard.append(answers)
            super().start(evaluator, on_report, answers=answers, **others)

    from autopanoptic.nas import SuccessiveHalving

    executor: Executor = Listening()
    Search(SPACE, GridSearch(), hangs_at_one, executor=executor).run(1)
    Search(SPACE, GridSearch(), hangs_at_one, executor=executor, stopper=SuccessiveHalving()).run(1)
    assert heard == [False, True]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seconds": -1}, "seconds must be a number of seconds from 0, or None for no limit, not -1"),
        ({"seconds": float("nan")}, "not nan"),
        ({"seconds": "8"}, "not '8'"),
        ({"seconds": 1, "grace": -1}, "grace must be a number of seconds"),
        ({"grace": 1}, "grace=1 says how long trials may go on after seconds="),
    ],
)
def test_limits_that_make_no_sense_are_refused(values: dict[str, Any], message: str) -> None:
    search = Search(SPACE, GridSearch(), hangs_at_one)
    with pytest.raises(ValueError, match=message):
        search.run(1, **values)
    assert len(search.history) == 0


@pytest.mark.parametrize("trials", [-1, 2.5, "3"])
def test_a_number_of_trials_is_whole(trials: Any) -> None:
    search = Search(SPACE, GridSearch(), lambda architecture: 1)
    with pytest.raises(ValueError, match=f"trials must be a whole number from 0, not {trials!r}"):
        search.run(trials)
    assert len(search.history) == 0


def test_trial_seconds_must_be_a_number() -> None:
    with pytest.raises(ValueError, match="trial_seconds must be a number of seconds from 0"):
        Search(SPACE, GridSearch(), hangs_at_one, trial_seconds="3")  # type: ignore[arg-type]


def test_what_is_left_is_until_the_next_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert Limits(None, None, None, None).left is None
    limits = Limits(None, 10, 5, 20)
    limits.begin(0)
    assert limits.left == 15
    now = 108.0
    limits.begin(1)
    now = 116.0
    assert (limits.no_more, limits.at_an_end, limits.all_overdue, limits.left) == (True, True, [], 0)
    now = 121.0
    assert limits.all_overdue == [0]
    limits.end(0)
    assert limits.all_overdue == []
