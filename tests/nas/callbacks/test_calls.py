"""What callbacks are told, and that what they raise changes nothing."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autopanoptic.nas import (
    Callback,
    Choice,
    JournalError,
    ProcessExecutor,
    RandomSearch,
    Search,
    SearchError,
    SearchRun,
    SearchSpace,
)
from autopanoptic.nas.callbacks.common import Tally
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import Trial

Made = Callable[..., Search]
METHODS = ["on_search_start", "on_trial_start", "on_trial_report", "on_trial_end", "on_search_end"]


class Recorder(Callback):
    """Writes down what it is told, after a look at whether the history has it already."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.runs: list[SearchRun] = []

    def on_search_start(self, run: SearchRun) -> None:
        self.runs.append(run)
        self.calls.append(("search", len(run.history), run.trials))

    def on_trial_start(self, history: Any, trial: Any) -> None:
        assert history[trial.id] is trial
        assert len(trial.reports) == 0
        self.calls.append(("start", trial.id, trial.state.value))

    def on_trial_report(self, history: Any, trial: Any, step: int, metrics: Any) -> None:
        assert history[trial.id].reports[-1] == (step, metrics)
        self.calls.append(("report", trial.id, step, metrics))

    def on_trial_end(self, history: Any, trial: Any) -> None:
        assert history.finished[-1] is trial
        self.calls.append(("end", trial.id, trial.state.value))

    def on_search_end(self, history: Any, reason: str | None) -> None:
        self.calls.append(("over", len(history), reason))

    def of(self, kind: str) -> list[tuple[Any, ...]]:
        return [call[1:] for call in self.calls if call[0] == kind]


class Raises(Callback):
    """Raises something in one of its methods, or in all, each time."""

    def __init__(self, problem: BaseException, *methods: str) -> None:
        self.calls = 0
        for method in methods:
            setattr(self, method, self._raise)
        self._problem = problem

    def _raise(self, *_: object) -> None:
        self.calls += 1
        raise self._problem


def proposals(search: Search) -> list[Any]:
    return [(trial.architecture, trial.state, trial.metrics) for trial in search.history]


def test_a_run_is_told_in_order(made: Made) -> None:
    recorder = Recorder()
    search = made(recorder)
    search.run(20, title="mine")
    assert recorder.calls[0] == ("search", 0, 20)
    assert recorder.calls[-1] == ("over", 20, "trials")
    assert recorder.runs[0].title == "mine"
    assert recorder.runs[0].settings["seed"] == 3
    of_first = [call for call in recorder.calls[1:-1] if call[1] == 0]
    size = search.history[0].architecture["size"]
    assert of_first == [
        ("start", 0, "running"),
        ("report", 0, 1, {"value": size + 0.1}),
        ("report", 0, 2, {"value": size + 0.2}),
        ("end", 0, search.history[0].state.value),
    ]
    assert [call[0] for call in recorder.of("end")] == [trial.id for trial in search.history.finished]
    assert {call[1] for call in recorder.of("end")} == {"completed", "failed", "stopped"}


def test_a_run_that_goes_on_tells_what_was_before(made: Made, interrupted_after: Callable[[int], Callback]) -> None:
    first, second = Recorder(), Recorder()
    with pytest.raises(KeyboardInterrupt):
        made(first, interrupted_after(4)).run(9)
    assert first.calls[-1] == ("over", 4, None)
    search = made(second)
    search.run(9)
    assert second.calls[:2] == [("search", 4, 9), ("start", 3, "running")]
    assert [call[0] for call in first.of("end") + second.of("end")] == list(range(9))
    assert first.runs[0].id == second.runs[0].id
    alone = made(journal=None)
    alone.run(9)
    assert proposals(search) == proposals(alone)


def test_the_id_stays_with_the_journal_alone(made: Made, tmp_path: Path) -> None:
    ids = []
    for journal in ("a", "a", "b", None):
        recorder = Recorder()
        made(recorder, journal=journal and tmp_path / journal).run(3)
        ids.append(recorder.runs[0].id)
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_a_journal_of_an_older_release_has_an_id_too(made: Made, tmp_path: Path) -> None:
    made().run(2)
    header, *events = (tmp_path / "j").read_text().splitlines()
    old = {name: value for name, value in json.loads(header).items() if name != "id"}
    (tmp_path / "j").write_text("\n".join([json.dumps(old), *events]) + "\n")
    recorder = Recorder()
    made(recorder).run(3)
    made(recorder).run(4)
    assert len(recorder.runs[0].id) == 32
    assert recorder.runs[0].id == recorder.runs[1].id


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", [ZeroDivisionError, SystemExit])
def test_an_exception_is_logged_once_and_changes_nothing(
    made: Made, caplog: pytest.LogCaptureFixture, kind: type[BaseException], method: str
) -> None:
    plain = made(journal=None)
    plain.run(20)
    broken, recorder = Raises(kind("by nought"), method), Recorder()
    search = made(broken, recorder)
    assert search.run(20).ended == "trials"
    assert proposals(search) == proposals(plain)
    assert len(recorder.of("end")) == 20
    logged = [record for record in caplog.records if record.exc_info]
    assert [record.getMessage().split(" ")[0] for record in logged] == [f"Raises.{method}"]
    assert "by nought" in caplog.text
    assert "_raise" in caplog.text, "the traceback"
    assert (f"raised {broken.calls} exceptions" in caplog.text) == (broken.calls > 1)


def test_each_run_logs_anew(made: Made, caplog: pytest.LogCaptureFixture) -> None:
    search = made(Raises(ValueError("x"), "on_search_end"))
    search.run(6)
    search.run(7)
    assert caplog.text.count("Raises.on_search_end raised an exception") == 2


def test_who_cannot_begin_hears_no_more_of_the_run(made: Made) -> None:
    broken, recorder = Raises(OSError("no server"), "on_search_start"), Recorder()
    broken.on_trial_end = broken.on_search_end = lambda *_: recorder.calls.append(("wrong",))  # type: ignore[method-assign]
    search = made(broken, recorder)
    search.run(3)
    search.run(5)
    assert not recorder.of("wrong")
    assert broken.calls == 2


@pytest.mark.parametrize("method", METHODS)
def test_ctrl_c_within_a_callback_ends_the_search(made: Made, method: str) -> None:
    before, after = Recorder(), Recorder()
    with pytest.raises(KeyboardInterrupt):
        made(before, Raises(KeyboardInterrupt(), method), after).run(20)
    assert before.calls[-1][0] == "over"
    if method != "on_search_start":
        assert after.calls[-1][0] == "over"
    search, alone = made(), made(journal=None)
    search.run(20)
    alone.run(20)
    assert proposals(search) == proposals(alone)


def test_a_signal_within_a_callback_is_ctrl_c(made: Made, tmp_path: Path) -> None:
    class Signals(Callback):
        def on_trial_end(self, history: Any, trial: Any) -> None:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        made(Signals()).run(20)
    events = [json.loads(line)["event"] for line in (tmp_path / "j").read_text().splitlines()]
    assert events[-2] in {"completed", "failed", "stopped"}
    assert events[-1] == "interrupted"


def test_ask_and_tell_tell_as_well(made: Made) -> None:
    recorder = Recorder()
    search = made(recorder)
    assert recorder.calls == []
    with search:
        trial = search.ask()
        assert trial is not None
        search.report(trial, 1, {"value": 1.0})
        search.tell(trial, {"value": 2.0})
    assert recorder.calls == [
        ("search", 0, None),
        ("start", 0, "running"),
        ("report", 0, 1, {"value": 1.0}),
        ("end", 0, "completed"),
        ("over", 1, None),
    ]
    search.close()
    assert len(recorder.of("over")) == 1
    search.ask()
    search.run(3)
    kinds = [call[:2] for call in recorder.calls[5:] if call[0] in ("search", "over")]
    assert kinds == [("search", 1), ("over", 2), ("search", 2), ("over", 3)]


def test_attempts_are_starts_and_failed_trials_may_run_again() -> None:
    problems = iter([OSError("away"), None, ValueError("bad"), None, None])

    def evaluate(architecture: Any) -> float:
        problem = next(problems)
        if problem is not None:
            raise problem
        return 1.0

    recorder = Recorder()
    space = SearchSpace([Choice("a", range(9))])
    search = Search(space, RandomSearch(), evaluate, retry_on=OSError, callbacks=[recorder])
    search.run(3)
    assert [call[0] for call in recorder.of("start")] == [0, 0, 1, 2]
    assert recorder.of("end") == [(0, "completed"), (1, "failed"), (2, "completed")]
    problems = iter([None])
    search.run(3, retry_failed=True)
    assert recorder.calls[-4:] == [
        ("search", 3, 3),
        ("start", 1, "running"),
        ("end", 1, "completed"),
        ("over", 3, "trials"),
    ]
    assert recorder.runs[-1].history is search.history


def test_a_log_counts_a_trial_that_runs_again_once() -> None:
    """What has ended when a run begins is taken from its history, in which that trial has not."""

    class Log(Callback):
        def on_search_start(self, run: SearchRun) -> None:
            self.tally = Tally()
            for trial in run.history.finished:
                self.tally.see(run.history, trial)

        def on_trial_end(self, history: History, trial: Trial) -> None:
            self.figures = self.tally.see(history, trial)

    problems, log = iter([None, ValueError("bad"), None, None]), Log()

    def evaluate(architecture: Any) -> float:
        problem = next(problems)
        if problem is not None:
            raise problem
        return 1.0

    search = Search(SearchSpace([Choice("a", range(9))]), RandomSearch(), evaluate, callbacks=[log])
    search.run(3)
    assert (log.figures["trials/failed"], log.figures["trials/completed"]) == (1, 2)
    search.run(3, retry_failed=True)
    assert "trials/failed" not in log.figures
    assert log.figures["trials/completed"] == log.tally.step == 3


def test_a_search_that_gives_up_is_over(made: Made) -> None:
    recorder = Recorder()
    with pytest.raises(SearchError):
        Search(SearchSpace([Choice("a", range(9))]), RandomSearch(), lambda a: 1 / 0, callbacks=[recorder]).run(4)
    assert recorder.calls[-1] == ("over", 4, "trials")


def test_worker_processes_do_not_call(made: Made) -> None:
    calls: list[int] = []

    class Here(Callback):
        def __init__(self) -> None:
            self.lock = threading.Lock()  # cannot be pickled

        def on_trial_report(self, history: Any, trial: Any, step: int, metrics: Any) -> None:
            calls.append(os.getpid())

    made(Here(), executor=ProcessExecutor(2)).run(6)
    assert len(calls) == 12
    assert set(calls) == {os.getpid()}


def test_threads_call_one_at_a_time() -> None:
    inside, recorder = threading.Lock(), Recorder()

    class Alone(Callback):
        def _enter(self, *_: object) -> None:
            assert inside.acquire(blocking=False)
            inside.release()

        on_trial_start = on_trial_end = _enter

    search = Search(SearchSpace([Choice("a", range(400))]), RandomSearch(), callbacks=[Alone(), recorder])

    def work() -> None:
        for _ in range(25):
            trial = search.ask()
            assert trial is not None
            search.tell(trial, {"value": 1.0})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    search.close()
    assert len(recorder.of("end")) == 100
    assert recorder.calls[-1] == ("over", 100, None)


def test_nothing_is_told_of_a_journal_that_another_search_writes(made: Made, caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    other = made()
    with other:
        search = made(recorder)
        other.ask()
        for call in (search.ask, lambda: search.run(3)):
            with pytest.raises(JournalError, match="being written by another search"):
                call()
    assert recorder.calls == []


def test_what_is_no_callback_is_refused(made: Made) -> None:
    with pytest.raises(TypeError, match=r"derives from Callback, such as TableCallback\(\), not <class .*Recorder'>"):
        made(Recorder)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"callbacks is a list, such as \["):
        Search(SearchSpace([Choice("a", [1, 2])]), RandomSearch(), callbacks=Recorder())  # type: ignore[arg-type]


@pytest.mark.parametrize("shows", [False, True])
def test_the_bar_makes_way_for_a_callback_that_shows_the_progress(
    made: Made, monkeypatch: pytest.MonkeyPatch, shows: bool
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    class Shows(Callback):
        shows_progress = shows  # type: ignore[assignment]

    monkeypatch.setattr(sys, "stderr", Terminal())
    made(Shows()).run(5)
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert ("search" in shown) != shows


def test_a_callback_that_cannot_say_whether_it_shows_the_progress_ends_no_search(
    made: Made, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Recorder):
        @property
        def shows_progress(self) -> bool:
            raise OSError("no terminal")

    search = made(broken := Broken())
    assert search.run(5).ended == "trials"
    assert broken.calls[-1] == ("over", 5, "trials")
    assert "Broken.shows_progress raised an exception" in caplog.text
    assert "OSError: no terminal" in caplog.text
