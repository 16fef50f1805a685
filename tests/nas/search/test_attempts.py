from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from autopanoptic.nas import (
    NSGA2,
    Architecture,
    Choice,
    Evolution,
    GridSearch,
    InlineExecutor,
    ProcessExecutor,
    RandomSearch,
    Result,
    Search,
    SearchError,
    SearchSpace,
    TrialState,
)

cloudpickle.register_pickle_by_value(sys.modules[__name__])

SPACE = SearchSpace([Choice("a", range(8))])
WIDE = SearchSpace([Choice("a", range(8)), Choice("b", range(8))])


class BusyError(OSError):
    """Of a device that others use as well."""


class Busy:
    """Fails on odd architectures, so often each."""

    def __init__(self, times: int, error: type[Exception] = BusyError) -> None:
        self.left = dict.fromkeys((1, 3, 5, 7), times)
        self.error = error

    def __call__(self, architecture: Architecture) -> float:
        option = int(architecture["a"])
        if self.left.get(option, 0):
            self.left[option] -= 1
            raise self.error("out of memory")
        return float(option)


@pytest.mark.parametrize("executor", [InlineExecutor(), ProcessExecutor(1)])
@pytest.mark.parametrize("retry_on", [OSError, (KeyError, BusyError)])
def test_what_passes_is_tried_again(executor: Any, retry_on: Any, tmp_path: Path) -> None:
    search = Search(SPACE, GridSearch(), Busy(2), executor=executor, retry_on=retry_on, journal=tmp_path / "j")
    result = search.run()
    assert result.history.n_completed == 8
    events = [json.loads(line) for line in (tmp_path / "j").read_text().splitlines()]
    kinds = [event["event"] for event in events if event.get("trial") == 1]
    assert kinds == ["asked", "attempt_failed", "restarted", "attempt_failed", "restarted", "completed"]
    assert "out of memory" in next(event["error"] for event in events if event["event"] == "attempt_failed")
    assert list(Result.from_journal(tmp_path / "j").history) == list(result.history)


@pytest.mark.parametrize(("retries", "retry_on"), [(1, OSError), (2, ()), (2, KeyError), (0, OSError)])
def test_retries_and_kinds_are_counted(retries: int, retry_on: Any) -> None:
    result = Search(SPACE, GridSearch(), Busy(2), retries=retries, retry_on=retry_on).run()
    failed = {trial.id for trial in result.history if trial.state is TrialState.FAILED}
    assert failed == {1, 3, 5, 7}


def test_attempts_of_an_earlier_run_count(tmp_path: Path) -> None:
    def make(busy: Busy) -> Search:
        return Search(SPACE, GridSearch(), busy, retries=2, retry_on=OSError, journal=tmp_path / "j")

    make(Busy(9)).run(2)
    lines = (tmp_path / "j").read_text().splitlines(keepends=True)
    kinds = [json.loads(line)["event"] for line in lines]
    (tmp_path / "j").write_text("".join(lines[: kinds.index("restarted") + 1]))
    make(Busy(9)).run(2)
    kinds = [json.loads(line)["event"] for line in (tmp_path / "j").read_text().splitlines()]
    assert kinds.count("attempt_failed") == 3


@pytest.mark.parametrize("value", [OSError("x"), "OSError", (OSError, 3), [OSError], int])
def test_what_is_no_exception_class_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="retry_on is an exception class or a tuple"):
        Search(SPACE, GridSearch(), Busy(0), retry_on=value)


def test_failed_trials_are_tried_again_after_a_resume(tmp_path: Path) -> None:
    Search(SPACE, GridSearch(), Busy(1), journal=tmp_path / "j").run()
    search = Search(SPACE, GridSearch(), Busy(0), journal=tmp_path / "j")
    assert len([trial for trial in search.run().history if trial.state is TrialState.FAILED]) == 4
    result = search.run(retry_failed=True)
    assert [trial.metrics["value"] for trial in result.history] == list(range(8))
    assert list(Result.from_journal(tmp_path / "j").history) == list(result.history)
    assert [t.id for t in Result.from_journal(tmp_path / "j").history.finished] == [0, 2, 4, 6, 1, 3, 5, 7]


def test_failed_trials_that_were_to_be_tried_again_are_so_after_a_kill(tmp_path: Path) -> None:
    Search(SPACE, GridSearch(), Busy(1), journal=tmp_path / "j").run()
    Search(SPACE, GridSearch(), Busy(0), journal=tmp_path / "j").run(retry_failed=True)
    lines = (tmp_path / "j").read_text().splitlines(keepends=True)
    kinds = [json.loads(line)["event"] for line in lines]
    (tmp_path / "j").write_text("".join(lines[: kinds.index("reopened") + 2]))
    result = Search(SPACE, GridSearch(), Busy(0), journal=tmp_path / "j").run()
    assert [trial.id for trial in result.history if trial.state is TrialState.FAILED] == [5, 7]


@pytest.mark.parametrize("strategy", [Evolution(8, 4), NSGA2(8), RandomSearch()])
def test_a_search_with_retried_trials_resumes_as_it_would_have_gone_on(strategy: Any, tmp_path: Path) -> None:
    """What a strategy keeps of its history must not outlive a failure that is taken back."""

    def make() -> Search:
        return Search(WIDE, strategy, Busy(0), journal=tmp_path / "j")

    first = Search(WIDE, strategy, Busy(1), journal=tmp_path / "j")
    first.run(19)
    assert any(trial.state is TrialState.FAILED for trial in first.history)
    first.evaluator = make().evaluator
    first.run(20, retry_failed=True)
    journal = (tmp_path / "j").read_bytes()
    first.run(40)
    going_on = [trial.architecture for trial in first.history]
    (tmp_path / "j").write_bytes(journal)
    resumed = make()
    resumed.run(40)
    assert [trial.architecture for trial in resumed.history] == going_on
    assert resumed.history.n_completed == 40


class BreaksDown:
    """Works for five trials, and fails from then on."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, architecture: Architecture) -> float:
        self.calls += 1
        if self.calls > 5:
            raise RuntimeError(f"device error {self.calls}")
        return 1.0


def test_failures_in_a_row_stop_the_search_and_nothing_is_lost(tmp_path: Path) -> None:
    def make(evaluator: Any) -> Search:
        return Search(WIDE, RandomSearch(), evaluator, max_failures=7, journal=tmp_path / "j")

    with pytest.raises(SearchError, match=r"last 7 trials failed one after another(.|\n)*trial 11:(.|\n)*error 12"):
        make(BreaksDown()).run(60)
    result = make(lambda a: 1.0).run(60, retry_failed=True)
    assert result.history.n_completed == 60


def test_failures_that_do_not_follow_one_another_stop_nothing() -> None:
    calls = iter(range(100))
    result = Search(WIDE, RandomSearch(), lambda a: 1.0 if next(calls) % 4 == 0 else float("nan"), max_failures=4).run(
        40
    )
    assert result.history.n_completed == 10
    broken = BreaksDown()
    assert len(Search(WIDE, RandomSearch(), broken, max_failures=None).run(60).history) == 60


def test_twenty_failures_in_a_row_are_enough_by_default() -> None:
    with pytest.raises(SearchError, match="last 20 trials failed"):
        Search(WIDE, RandomSearch(), BreaksDown()).run(60)


def test_max_failures_must_be_a_whole_number() -> None:
    with pytest.raises(ValueError, match="max_failures must be a whole number from 1, not 0"):
        Search(SPACE, GridSearch(), Busy(0), max_failures=0)
