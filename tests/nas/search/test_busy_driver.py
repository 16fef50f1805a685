"""A driver that is kept busy, by a strategy, a callback or a cost: no trial pays for it, and no result is lost."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest

from autopanoptic.nas import (
    Architecture,
    Callback,
    Choice,
    Context,
    GridSearch,
    History,
    ProcessExecutor,
    RandomSearch,
    RegularizedEvolution,
    Result,
    Search,
    SearchError,
    SearchSpace,
    StopTrial,
    SuccessiveHalving,
    Trial,
    TrialState,
)
from autopanoptic.nas.executors.worker import Done, Loaded
from autopanoptic.nas.search import limits
from autopanoptic.nas.storage import journal
from benchmarks.scaling.simulated import SimulatedExecutor

cloudpickle.register_pickle_by_value(sys.modules[__name__])

SPACE = SearchSpace([Choice("a", range(6))])
LIMIT = 1.0
LONGER = 1.3


def ended(context: Context) -> float:
    """Leave a file that says so."""
    (context.folder / "ended").touch()
    return 1.0


def reporting(architecture: Architecture, report: Callable[..., None], context: Context) -> float:
    for step in range(3):
        report(step, {"value": float(step)})
    return ended(context)


def quiet(architecture: Architecture, context: Context) -> float:
    return ended(context)


class Busy(Callback):
    """Takes longer at the end of the first trials than a trial may take."""

    def __init__(self) -> None:
        self.left = 2

    def on_trial_end(self, history: History, trial: Trial) -> None:
        if self.left:
            self.left -= 1
            time.sleep(LONGER)


class Thinking(RandomSearch):
    """Takes longer for its fourth and fifth proposals than a trial may take."""

    def proposes_ahead(self) -> bool:
        return False

    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture | None:
        if len(history) in (3, 4):
            time.sleep(LONGER)
        return super().propose(space, history, rng)


class Late(RandomSearch):
    """Makes its fourth proposal when three evaluations have long ended, of which nobody has been told.

    Args:
        folder: of the trials.
        error: that it raises instead, if any.
    """

    def __init__(self, folder: Path, error: BaseException | None = None) -> None:
        self.folder, self.error = folder, error

    def proposes_ahead(self) -> bool:
        return False

    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture | None:
        if len(history) == 3:
            while len(list(self.folder.glob("*/ended"))) < 3:
                time.sleep(0.02)
            time.sleep(LONGER)  # for what follows the file
            if self.error is not None:
                raise self.error
        return super().propose(space, history, rng)


@pytest.mark.parametrize("stopper", [None, SuccessiveHalving()])
@pytest.mark.parametrize("evaluate", [reporting, quiet])
@pytest.mark.parametrize("busy", ["callback", "strategy"])
def test_trials_that_take_no_time_do_not_take_too_long(
    tmp_path: Path, evaluate: Callable[..., float], busy: str, stopper: SuccessiveHalving | None
) -> None:
    search = Search(
        SPACE,
        Thinking() if busy == "strategy" else GridSearch(),
        evaluate,
        callbacks=[Busy()] if busy == "callback" else [],
        executor=ProcessExecutor(3),
        trial_seconds=LIMIT,
        stopper=stopper,
        max_failures=None,
        folder=tmp_path,
    )
    search.run(6, progress=False)
    assert TrialState.FAILED not in {trial.state for trial in search.history}, search.history


def test_in_this_process_a_slow_cost_is_not_the_trials_time(tmp_path: Path) -> None:
    def slow(architecture: Architecture) -> float:
        time.sleep(0.2)
        return 1.0

    search = Search(SPACE, GridSearch(), reporting, costs={"latency": slow}, trial_seconds=0.1, folder=tmp_path)
    assert search.run(4).history.n_completed == 4


def test_in_this_process_a_slow_disk_is_not_the_trials_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = journal._write

    def slow(file: Any, line: bytes) -> None:
        time.sleep(0.2)
        written(file, line)

    def publishing(architecture: Architecture, report: Callable[..., None], context: Context) -> float:
        context.set_attribute("log", "here")
        report(1, {"value": 1.0})
        return 1.0

    monkeypatch.setattr(journal, "_write", slow)
    search = Search(SPACE, GridSearch(), publishing, trial_seconds=0.1, journal=tmp_path / "j")
    assert search.run(2).history.n_completed == 2


def reports_from_threads(architecture: Architecture, report: Callable[..., None]) -> float:
    def go_on() -> None:
        with suppress(StopTrial):
            for step in range(1_000):
                report(step, {"value": 1.0})

    threads = [threading.Thread(target=go_on, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    if architecture["a"] == 1:
        time.sleep(600)
    return 1.0


def test_a_trial_that_hangs_while_threads_report_is_ended() -> None:
    space, executor = SearchSpace([Choice("a", [1])]), ProcessExecutor(1)
    search = Search(space, GridSearch(), reports_from_threads, executor=executor, trial_seconds=1.0)
    with pytest.raises(SearchError, match="took longer than trial_seconds=1"):
        search.run(1, progress=False)


def hangs_when_it_is_told_to_end(architecture: Architecture, report: Callable[..., None]) -> float:
    if architecture["a"] != 1:
        return 1.0
    try:
        for step in range(1_000):
            time.sleep(0.05)
            report(step, {"value": 1.0})
    finally:
        time.sleep(600)
    return 1.0


def test_what_hangs_as_it_is_told_to_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SECONDS_TO_CLEAN_UP", 0.5)
    options: dict[str, Any] = {"executor": ProcessExecutor(2), "stopper": SuccessiveHalving(), "trial_seconds": LIMIT}
    result = Search(SPACE, GridSearch(), hangs_when_it_is_told_to_end, **options).run(3, progress=False)
    assert [trial.state.value for trial in result.history] == ["completed", "failed", "completed"]
    assert "took longer than trial_seconds=1" in (result.history[1].error or "")


@pytest.mark.parametrize("error", [SearchError("none"), ValueError("none"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("evaluate", [reporting, quiet])
def test_what_has_ended_meanwhile_is_kept_when_the_run_breaks(
    tmp_path: Path, evaluate: Callable[..., float], error: BaseException
) -> None:
    options: dict[str, Any] = {"executor": ProcessExecutor(4), "folder": tmp_path / "t", "journal": tmp_path / "j"}
    search = Search(SPACE, Late(tmp_path / "t", error), evaluate, **options)
    with pytest.raises(type(error)):
        search.run(6, progress=False)
    assert search.history.n_completed == 3
    assert list(Result.from_journal(tmp_path / "j").history) == list(search.history)


@pytest.mark.parametrize("evaluate", [reporting, quiet])
def test_what_has_ended_before_the_grace_has_is_kept(tmp_path: Path, evaluate: Callable[..., float]) -> None:
    search = Search(SPACE, Late(tmp_path), evaluate, executor=ProcessExecutor(4), folder=tmp_path)
    result = search.run(6, seconds=LONGER / 2, grace=0.1, progress=False)
    assert result.ended == "seconds"
    assert {trial.id for trial in result.history.completed} >= {0, 1, 2}


@pytest.mark.parametrize("what", [Done, Loaded])
def test_after_ctrl_c_within_a_message_nothing_more_is_read_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: type
) -> None:
    """What follows would be taken for the beginning of another message, and be waited for in vain."""
    received, pressed = Connection.recv, list[int]()

    def interrupted(self: Connection) -> Any:
        message = received(self)
        if isinstance(message, what) and not pressed:
            pressed.append(1)
            raise KeyboardInterrupt
        return message

    options: dict[str, Any] = {"executor": ProcessExecutor(1), "folder": tmp_path / "t", "journal": tmp_path / "j"}
    search = Search(SPACE, GridSearch(), quiet, **options)
    with monkeypatch.context() as patch:
        patch.setattr(Connection, "recv", interrupted)
        with pytest.raises(KeyboardInterrupt):
            search.run(3, progress=False)
    assert [trial.state for trial in search.history] == [TrialState.RUNNING]
    assert search.run(3, progress=False).history.n_completed == 3


def died_once(architecture: Architecture, context: Context) -> float:
    if not (context.folder / "died").exists():
        (context.folder / "died").touch()
        os._exit(3)
    return 1.0


def test_what_died_is_not_begun_again_at_the_end_of_the_grace(tmp_path: Path) -> None:
    class Slow(RandomSearch):
        def proposes_ahead(self) -> bool:
            return False

        def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture | None:
            if len(history) == 1:
                while not list(tmp_path.glob("*/died")):
                    time.sleep(0.02)
                time.sleep(LONGER)
            return super().propose(space, history, rng)

    journal = tmp_path / "j"
    search = Search(SPACE, Slow(), died_once, executor=ProcessExecutor(2), folder=tmp_path, journal=journal)
    assert search.run(3, seconds=LONGER / 2, grace=0.0, progress=False).ended == "seconds"
    kinds = [json.loads(line)["event"] for line in journal.read_text().splitlines()]
    assert "restarted" not in kinds
    assert search.history[0].state is TrialState.RUNNING


class Waiting(SimulatedExecutor):
    """Evaluates trial 4 when it is let; else a hundred seconds pass at each look at it."""

    now = 0.0

    def __init__(self, lets: bool) -> None:
        super().__init__(3, lambda trial_id: 9.0 if trial_id == 4 else 1.0 + trial_id * 7 % 5)
        self._lets = lets

    def wait(self, timeout: float | None = None) -> Any:
        if not self._lets and self._running and self._running[0][1] == 4:
            Waiting.now += 100
            return None
        return super().wait(timeout)


def test_the_end_of_the_grace_changes_no_proposal_in_ordered_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: Waiting.now)
    space = SearchSpace([Choice(name, range(6)) for name in "abc"])

    def make(lets: bool, journal: Path | None) -> Search:
        return Search(
            space,
            RegularizedEvolution(3, 2),
            lambda a: float(a["a"] + a["b"] - a["c"]),
            executor=Waiting(lets),
            ordered=True,
            journal=journal,
        )

    alone = make(True, None).run(20, progress=False).history
    first = make(False, tmp_path / "j").run(20, seconds=50, grace=10, progress=False)
    assert first.ended == "seconds"
    events = [json.loads(line) for line in (tmp_path / "j").read_text().splitlines()]
    assert "held" in {event["event"] for event in events}
    assert [event["trials"] for event in events if event["event"] == "interrupted"] == [[4]]
    history = make(True, tmp_path / "j").run(20, progress=False).history
    assert [trial.architecture for trial in history] == [trial.architecture for trial in alone]
