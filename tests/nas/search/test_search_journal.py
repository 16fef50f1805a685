from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autopanoptic.nas import (
    Architecture,
    Callback,
    Choice,
    Evolution,
    GridSearch,
    History,
    InlineExecutor,
    Journal,
    JournalError,
    RandomSearch,
    RegularizedEvolution,
    Result,
    Search,
    SearchSpace,
    Trial,
)
from autopanoptic.nas.executors.base import Outcome
from autopanoptic.nas.search.attempts import Attempts
from autopanoptic.nas.storage import journal as journal_module

POOL = {"op": "pool", **{f"k{i}": 0 for i in range(6)}}


def value(architecture: Architecture) -> float:
    return sum(option for option in architecture.values() if isinstance(option, int))


def states(history: History) -> list[str]:
    return [trial.state.value for trial in history]


def architectures(search: Search) -> list[Architecture]:
    return [trial.architecture for trial in search.history]


def reporting(architecture: Architecture, report: Callable[..., None]) -> float:
    for step in range(3):
        report(step, {"value": value(architecture)})
    return value(architecture)


def test_journal_resumes_to_the_same_search(space: SearchSpace, tmp_path: Path) -> None:
    whole = Search(space, RegularizedEvolution(8, 3), value)
    whole.run(40)
    for trials in (7, 8, 25, 40):
        part = Search(space, RegularizedEvolution(8, 3), value, journal=tmp_path / "j")
        part.run(trials)
    assert architectures(part) == architectures(whole)
    assert states(Result.from_journal(tmp_path / "j").history) == ["completed"] * 40


@pytest.mark.parametrize("cut", range(1, 12))
def test_journal_cut_after_any_record_goes_on_as_if_nothing_had_happened(
    space: SearchSpace, tmp_path: Path, cut: int
) -> None:
    path = tmp_path / "j"

    def search() -> Search:
        return Search(space, RegularizedEvolution(4, 2), reporting, journal=path)

    search().run(12)
    whole = [(t.architecture, t.metrics, t.reports) for t in Result.from_journal(path).history]
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: cut * 4]) + lines[cut * 4][:9])
    search().run(12)
    assert [(t.architecture, t.metrics, t.reports) for t in Result.from_journal(path).history] == whole


def test_finished_journal_is_left_as_it_is(space: SearchSpace, tmp_path: Path) -> None:
    Search(space, RandomSearch(), value, journal=tmp_path / "j").run(5)
    before = (tmp_path / "j").read_bytes()
    result = Search(space, RandomSearch(), value, journal=tmp_path / "j").run(5)
    assert len(result.history) == 5
    assert result.ended == "trials"
    assert (tmp_path / "j").read_bytes() == before


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 1}, "its seed is 0, this one's is 1"),
        ({"strategy": GridSearch()}, r"its strategy is 'RandomSearch\(\)', this one's is 'GridSearch\(\)'"),
        ({"objectives": {"value": "min"}}, "its objectives is {'value': 'max'}"),
        ({"constraints": {"n": (0, 2.0000001)}}, r"its constraints is {'n': \[0, 2\]}, .* {'n': \[0, 2.0000001\]}"),
        (
            {"space": SearchSpace([Choice("op", ["pool", "conv"]), *(Choice(f"k{i}", [0, 1]) for i in range(7))])},
            r"its space is {'label': 'size'.*, this one's is {'label': 'k0'",
        ),
    ],
)
def test_journal_of_another_search_is_refused(
    space: SearchSpace, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    def make(**values: Any) -> Search:
        values = {"space": space, "strategy": RandomSearch(), "constraints": {"n": (0, 2)}, **values}
        return Search(evaluator=value, costs={"n": lambda a: 1}, journal=tmp_path / "j", **values)

    make().run(2)
    make()
    with pytest.raises(JournalError, match=message):
        make(**changed)


def test_a_journal_whose_objectives_have_another_order_is_refused(space: SearchSpace, tmp_path: Path) -> None:
    def make(*names: str) -> Search:
        objectives = dict.fromkeys(names, "max")
        return Search(space, RandomSearch(), lambda a: {"a": 1, "b": 2}, objectives=objectives, journal=tmp_path / "j")

    make("a", "b").run(2)
    make("a", "b")
    with pytest.raises(JournalError, match=r"its objectives is {'a': 'max', 'b': 'max'}, this one's is {'b': 'max', "):
        make("b", "a")


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"event": "completed", "trial": 7, "metrics": {"value": 1}, "seconds": 1}, "There is no trial 7"),
        ({"event": "completed", "trial": 0, "metrics": {"value": 1}}, "not running"),
        ({"event": "asked", "trial": 9, "architecture": POOL}, "next trial must be running and have id 2"),
        ({"event": "asked", "trial": 2, "architecture": {"op": "pool"}}, "lacks choice 'k0'"),
        ({"event": "failed"}, "'trial' is missing"),
        ({"event": "transmuted", "trial": 1}, "Unknown event 'transmuted'"),
    ],
)
def test_journal_that_makes_no_sense_is_refused(
    space: SearchSpace, tmp_path: Path, event: dict[str, Any], message: str
) -> None:
    with Search(space, RandomSearch(), journal=tmp_path / "j") as search:
        for _ in range(2):
            trial = search.ask()
            assert trial is not None
            if trial.id == 0:
                search.tell(trial, {"value": 1})
    with (tmp_path / "j").open("a") as file:
        file.write(json.dumps(event) + "\n")
    with pytest.raises(JournalError, match=message):
        Search(space, RandomSearch(), value, journal=tmp_path / "j")


def test_two_searches_on_one_journal_do_not_mix(space: SearchSpace, tmp_path: Path) -> None:
    first, second = (Search(space, RandomSearch(), value, journal=tmp_path / "j") for _ in range(2))
    first.run(3)
    with pytest.raises(JournalError, match="has changed since this search read it"):
        second.run(3)
    assert len(second.history) == 0
    assert len(Result.from_journal(tmp_path / "j").history) == 3
    first.run(4)

    def nested(architecture: Architecture) -> float:
        with pytest.raises(JournalError, match="being written by another search"):
            Search(space, RandomSearch(), value, journal=tmp_path / "j").run(9)
        return 1.0

    Search(space, RandomSearch(), nested, journal=tmp_path / "j").run(5)
    assert len(Result.from_journal(tmp_path / "j").history) == 5


def test_full_disk_ends_the_search_and_loses_nothing(
    space: SearchSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "j"
    written = journal_module._write

    def full_after_ten(file: Any, line: bytes) -> None:
        written(file, line if len(path.read_text().splitlines()) < 10 else line[:7])
        if len(path.read_text().splitlines()) >= 10 and not path.read_text().endswith("\n"):
            raise OSError(28, "No space left on device")

    search = Search(space, RegularizedEvolution(4, 2), value, journal=path)
    with monkeypatch.context() as patch:
        patch.setattr(journal_module, "_write", full_after_ten)
        with pytest.raises(JournalError, match="No space left on device"):
            search.run(20)
    kept = [trial.architecture for trial in Result.from_journal(path).history]
    assert len(kept) >= 4
    assert kept == architectures(search)
    search.run(20)  # the same object goes on when there is room again
    whole = Search(space, RegularizedEvolution(4, 2), value)
    whole.run(20)
    assert architectures(search) == architectures(whole)
    assert architectures(Search(space, RegularizedEvolution(4, 2), value, journal=path)) == architectures(whole)


@pytest.mark.parametrize("ordered", [False, True])
def test_a_result_that_has_come_as_ctrl_c_does_is_not_lost(
    space: SearchSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ordered: bool
) -> None:
    told, evaluated, pressed = Attempts.event_of, list[Architecture](), list[int]()

    def event_of(self: Attempts, outcome: Outcome) -> str | None:
        if outcome.trial_id == 2 and not pressed:
            pressed.append(1)
            raise KeyboardInterrupt
        return told(self, outcome)

    def counted(architecture: Architecture) -> float:
        evaluated.append(architecture)
        return value(architecture)

    monkeypatch.setattr(Attempts, "event_of", event_of)
    search = Search(space, RandomSearch(), counted, journal=tmp_path / "j", ordered=ordered)
    with pytest.raises(KeyboardInterrupt):
        search.run(5)
    search.run(5)
    assert states(search.history) == ["completed"] * 5
    assert len(evaluated) == 5


class PressesCtrlC(Callback):
    """Presses it when a trial begins."""

    def __init__(self, trial_id: int) -> None:
        self.trial_id = trial_id

    def on_trial_start(self, history: History, trial: Trial) -> None:
        if trial.id == self.trial_id:
            self.trial_id = -1
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("count", [None, 1, 3])
def test_a_trial_that_ctrl_c_keeps_from_who_asks_is_the_next_one(space: SearchSpace, count: int | None) -> None:
    search = Search(space, Evolution(4), callbacks=[PressesCtrlC(2)])

    def asked() -> list[Trial]:
        trial = search.ask() if count is None else None
        return search.ask(count) if count is not None else [trial] if trial is not None else []

    handed: list[int] = []
    interrupted = False
    while len(search.history.finished) < 8:
        try:
            trials = asked()
        except KeyboardInterrupt:
            interrupted = True
            continue
        assert trials
        for trial in trials:
            handed.append(trial.id)
            search.tell(trial, {"value": value(trial.architecture)})
    assert interrupted
    assert handed[:8] == list(range(8))


def test_interrupt_ends_at_once_and_the_search_goes_on(space: SearchSpace, tmp_path: Path) -> None:
    def interrupted_once(architecture: Architecture) -> float:
        if len(search.history) == 5 and not pressed:
            pressed.append(1)
            raise KeyboardInterrupt
        return value(architecture)

    pressed: list[int] = []
    search = Search(space, RegularizedEvolution(4, 2), interrupted_once, journal=tmp_path / "j")
    with pytest.raises(KeyboardInterrupt):
        search.run(10)
    assert Result.from_journal(tmp_path / "j").ended is None
    assert states(Result.from_journal(tmp_path / "j").history) == ["completed"] * 4 + ["running"]
    assert json.loads((tmp_path / "j").read_text().splitlines()[-1])["event"] == "interrupted"
    whole = Search(space, RegularizedEvolution(4, 2), value)
    whole.run(10)
    resumed = Search(space, RegularizedEvolution(4, 2), value, journal=tmp_path / "j")
    resumed.run(7)
    assert architectures(resumed) == architectures(whole)[:7]
    with pytest.raises(JournalError, match="has changed"):
        search.run(10)


def test_interrupt_while_an_event_is_written_comes_after_it(
    space: SearchSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def pressing(handle: int) -> None:
        sync(handle)
        os.kill(os.getpid(), 2)

    search = Search(space, RandomSearch(), value, journal=tmp_path / "j")
    search.run(2)
    with monkeypatch.context() as patch:
        patch.setattr(journal_module.os, "fsync", pressing)
        with pytest.raises(KeyboardInterrupt):
            search.run(5)
    assert states(Search(space, RandomSearch(), value, journal=tmp_path / "j").history) == states(search.history)
    search.run(5)  # what is in memory and on the disk agree, so the same object may go on
    assert states(search.history) == ["completed"] * 5
    assert len(Journal(tmp_path / "j").events) > 10


class Op(str, Enum):
    """Options that a journal holds as text."""

    CONV = "conv"
    POOL = "pool"


def test_enums_come_back_as_enums_from_a_journal(tmp_path: Path) -> None:
    space = SearchSpace([Choice("op", Op), Choice("k", np.arange(3, 6), ("op", Op.CONV)), Choice("w", range(4))])
    seen: list[object] = []

    def evaluate(architecture: Architecture) -> float:
        seen.append(architecture["op"])
        return float(architecture["op"] is Op.CONV)

    def search() -> Search:
        return Search(space, RegularizedEvolution(4, 2), evaluate, journal=tmp_path / "j")

    interrupted = search()
    interrupted.run(5)
    interrupted.ask()
    interrupted.close()
    again = search()
    assert [type(trial.architecture["op"]) for trial in again.history] == [Op] * 6
    result = again.run(10)
    assert result.best.architecture["op"] is Op.CONV
    assert all(isinstance(option, Op) for option in seen)
    text = Result.from_journal(tmp_path / "j")
    assert [trial.architecture for trial in text.history] == architectures(again)
    assert [trial.architecture.id for trial in text.history] == [trial.architecture.id for trial in again.history]


class Pressed(InlineExecutor):
    """Somebody presses Ctrl-C, and once more while the workers are ended."""

    def wait(self, timeout: float | None = None) -> None:
        raise KeyboardInterrupt

    def stop(self) -> None:
        raise KeyboardInterrupt


def test_a_second_ctrl_c_while_workers_are_ended_leaves_the_journal_free(space: SearchSpace, tmp_path: Path) -> None:
    first = Search(space, RandomSearch(), value, executor=Pressed(), journal=tmp_path / "j")
    with pytest.raises(KeyboardInterrupt):
        first.run(3)
    second = Search(space, RandomSearch(), value, journal=tmp_path / "j")
    assert second.run(3).history.n_completed == 3
    assert states(first.history) == ["running"]
