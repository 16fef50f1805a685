"""Nothing that a user does leaves a journal that cannot be read, or that says other than the search in memory."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from autopanoptic.nas import (
    Architecture,
    Choice,
    Evolution,
    Journal,
    ProcessExecutor,
    RandomSearch,
    Result,
    Search,
    SearchError,
    SearchSpace,
    Stopper,
    Trial,
    TrialState,
)

SPACE = SearchSpace([Choice(f"k{index}", range(5)) for index in range(5)])


def same(search: Search, path: Path) -> None:
    """Assert that the journal opens, and holds exactly what the search holds."""
    assert list(Result.from_journal(path).history) == list(search.history)


def late_reporter(kept: list[Callable[..., None]]) -> Callable[..., float]:
    def evaluate(architecture: Architecture, report: Callable[..., None]) -> float:
        kept.append(report)
        kept[0](len(kept), {"value": 1.0})
        return 1.0

    return evaluate


def test_a_report_kept_from_an_earlier_trial_is_dropped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    search = Search(SPACE, RandomSearch(), late_reporter([]), journal=tmp_path / "j")
    with caplog.at_level(logging.WARNING):
        result = search.run(4)
    assert [len(trial.reports) for trial in result.history] == [1, 0, 0, 0]
    assert {trial.state for trial in result.history} == {TrialState.COMPLETED}
    lines = [record.getMessage() for record in caplog.records if "is dropped" in record.getMessage()]
    assert lines == ["Trial 0 is not running any more; its report of step 2 is dropped."]
    same(search, tmp_path / "j")
    assert len(Search(SPACE, RandomSearch(), late_reporter([]), journal=tmp_path / "j").run(6).history) == 6


class ReportsFromThreads:
    """Each evaluation leaves a thread, which reports twice before it ends and six times during the next one."""

    def __init__(self) -> None:
        self.late = list[tuple[threading.Thread, threading.Event]]()

    def __call__(self, architecture: Architecture, report: Callable[..., None]) -> float:
        self.release()
        reported, released = threading.Event(), threading.Event()

        def go_on() -> None:
            for step in range(8):
                if step == 2:
                    reported.set()
                    released.wait()
                report(step, {"value": 1.0})

        thread = threading.Thread(target=go_on, daemon=True)
        thread.start()
        reported.wait()
        self.late.append((thread, released))
        return 1.0

    def release(self) -> list[threading.Thread]:
        for _, released in self.late:
            released.set()
        return [thread for thread, _ in self.late]


def test_a_thread_that_reports_longer_than_the_evaluation_takes(tmp_path: Path) -> None:
    evaluate = ReportsFromThreads()
    search = Search(SPACE, RandomSearch(), evaluate, journal=tmp_path / "j")
    result = search.run(5)
    for thread in evaluate.release():  # what is late comes while nobody runs, too
        thread.join()
    assert [len(trial.reports) for trial in result.history] == [2] * 5
    same(search, tmp_path / "j")
    assert len(Search(SPACE, RandomSearch(), ReportsFromThreads(), journal=tmp_path / "j").run(7).history) == 7


def test_a_report_kept_from_an_earlier_attempt_is_dropped(tmp_path: Path) -> None:
    kept: list[Callable[..., None]] = []

    def evaluate(architecture: Architecture, report: Callable[..., None]) -> float:
        kept.append(report)
        kept[0](len(kept), {"value": 1.0})
        if len(kept) == 1:
            raise OSError
        return 1.0

    search = Search(SPACE, RandomSearch(), evaluate, journal=tmp_path / "j", retry_on=OSError)
    assert [list(trial.reports) for trial in search.run(2).history] == [[], []]
    same(search, tmp_path / "j")


def test_who_reports_after_an_interrupted_run_does_not_open_the_journal_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept: list[Callable[..., None]] = []

    def interrupted(architecture: Architecture, report: Callable[..., None]) -> float:
        kept.append(report)
        raise KeyboardInterrupt

    search = Search(SPACE, RandomSearch(), interrupted, journal=tmp_path / "j")
    with pytest.raises(KeyboardInterrupt):
        search.run(3)
    for step in (1, 2):
        kept[0](step, {"value": 1.0})
    assert [record.getMessage() for record in caplog.records] == [
        "The run is over; the report of step 1 of trial 0 is dropped."
    ]
    same(search, tmp_path / "j")
    with Journal(tmp_path / "j") as other:
        other.append({"event": "interrupted", "trials": [0]})


def test_four_threads_ask_and_tell(tmp_path: Path) -> None:
    search = Search(SPACE, RandomSearch(), journal=tmp_path / "j")

    def work(_: int) -> list[int]:
        found = []
        for number in range(20):
            trial = search.ask()
            assert trial is not None
            assert not search.report(trial, number, {"value": 0.5})
            search.tell(trial, {"value": float(trial.id)})
            found.append(trial.id)
        return found

    with ThreadPoolExecutor(4) as pool:
        told = [trial_id for part in pool.map(work, range(4)) for trial_id in part]
    search.close()
    assert sorted(told) == list(range(80))
    assert {trial.state for trial in search.history} == {TrialState.COMPLETED}
    assert [trial.metrics["value"] for trial in search.history] == list(range(80))
    same(search, tmp_path / "j")


def test_the_lock_taken_in_one_thread_is_given_back_in_another(tmp_path: Path) -> None:
    search = Search(SPACE, RandomSearch(), journal=tmp_path / "j")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(search.ask).result()
    search.close()
    with Journal(tmp_path / "j") as journal:
        journal.append({"event": "interrupted"})


def test_a_trial_told_by_hand_is_not_run_again(tmp_path: Path) -> None:
    with Search(SPACE, RandomSearch(), journal=tmp_path / "j") as search:
        search.ask()
        search.ask()
    again = Search(SPACE, RandomSearch(), journal=tmp_path / "j")
    again.tell(again.history[0], {"value": 1.0})
    following = again.ask()
    assert following is not None
    assert following.id == 1
    again.close()
    same(again, tmp_path / "j")


Call = Callable[[Search, Trial], Any]
REFUSED: list[tuple[str, Call, type[Exception]]] = [
    ("twice", lambda s, t: (s.tell(t, {"value": 1}), s.tell(t, {"value": 1})), ValueError),
    ("negative id", lambda s, t: s.tell(Trial(-1, t.architecture), {"value": 1}), ValueError),
    ("unknown id", lambda s, t: s.tell(Trial(9, t.architecture), {"value": 1}), ValueError),
    ("no objective", lambda s, t: s.tell(t, {"other": 1}), SearchError),
    ("error that is no text", lambda s, t: s.tell(t, error=OSError("x")), TypeError),  # type: ignore[arg-type]
    ("seconds", lambda s, t: s.tell(t, {"value": 1}, seconds=float("nan")), ValueError),
    ("negative seconds", lambda s, t: s.tell(t, error="x", seconds=-1), ValueError),
    ("text as seconds", lambda s, t: s.tell(t, error="x", seconds="1"), ValueError),  # type: ignore[arg-type]
    ("both", lambda s, t: s.tell(t, {"value": 1}, "x"), ValueError),
    ("stopped and error", lambda s, t: s.tell(t, error="x", stopped=True), ValueError),
    ("fraction as step", lambda s, t: s.report(t, 0.25, {"value": 1}), ValueError),  # type: ignore[arg-type]
    ("text as step", lambda s, t: s.report(t, "1", {"value": 1}), ValueError),  # type: ignore[arg-type]
    ("NaN reported", lambda s, t: s.report(t, 1, {"value": float("nan")}), ValueError),
]


@pytest.mark.parametrize(("call", "error"), [pytest.param(*rest, id=name) for name, *rest in REFUSED])
def test_a_call_that_raises_leaves_memory_and_journal_equal(tmp_path: Path, call: Call, error: type[Exception]) -> None:
    search = Search(SPACE, RandomSearch(), journal=tmp_path / "j")
    search.ask()
    trial = search.ask()
    assert trial is not None
    search.report(trial, 0, {"value": 0.5})
    with pytest.raises(error):
        call(search, trial)
    search.close()
    same(search, tmp_path / "j")
    Search(SPACE, RandomSearch(), journal=tmp_path / "j")


def test_a_stopped_trial_is_told(tmp_path: Path) -> None:
    class Always(Stopper):
        def should_stop(self, *_: Any) -> bool:
            return True

    with Search(SPACE, RandomSearch(), stopper=Always(), journal=tmp_path / "j") as search:
        trial = search.ask()
        assert trial is not None
        assert search.report(trial, 1, {"value": 0.5})
        assert search.tell(trial, stopped=True, seconds=2).state is TrialState.STOPPED
        assert not search.report(trial, 2, {"value": 0.5})
    same(search, tmp_path / "j")


@pytest.mark.parametrize("step", [0.25, "1", 1.0, None, True])
def test_a_step_that_is_no_whole_number_fails_the_trial_and_is_named(step: Any) -> None:
    def evaluate(architecture: Architecture, report: Callable[..., None]) -> float:
        report(step, {"value": 1.0})
        return 1.0

    with pytest.raises(SearchError, match=rf"must be a whole number, such as an epoch, not {step!r}"):
        Search(SPACE, RandomSearch(), evaluate).run(1)


def test_run_takes_over_what_was_asked_for() -> None:
    search = Search(SPACE, Evolution(population=10), lambda a: float(sum(a.values())))  # type: ignore[arg-type]
    asked = search.ask()
    result = search.run(30)
    assert asked is not None
    assert len(result.history.completed) == 30
    assert result.ended == "trials"


def test_a_journal_by_a_relative_path_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)

    def wandering(architecture: Architecture) -> float:
        monkeypatch.chdir(tmp_path / "elsewhere")
        return 1.0

    search = Search(SPACE, RandomSearch(), wandering, journal="j.jsonl")
    search.run(3)
    search.run(5)
    same(search, tmp_path / "j.jsonl")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_late_reports_of_worker_processes(tmp_path: Path) -> None:
    import sys

    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    search = Search(SPACE, RandomSearch(), ReportsFromThreads(), executor=ProcessExecutor(1), journal=tmp_path / "j")
    assert search.run(4).history.n_completed == 4
    same(search, tmp_path / "j")
