"""What is shown of a search while it runs."""

from __future__ import annotations

import errno
import io
import os
import sys
from types import SimpleNamespace

import pytest

from autopanoptic.nas import Choice, RandomSearch, Search, SearchSpace
from autopanoptic.nas.progress import lines as module
from autopanoptic.nas.progress.lines import Lines, shown


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_lines_come_rarer_as_the_work_goes_on() -> None:
    clock, written, times = Clock(), list[str](), list[float]()
    lines = Lines(lambda line: (written.append(line), times.append(clock.now - 100)), "work", clock)
    for second in range(4 * 3600 + 1):
        clock.now = 100.0 + second
        lines.update(second, 4 * 3600, lambda: "best 3")
    gaps = [after - before for before, after in zip([0.0, *times], times, strict=False)]
    assert gaps[:10] == [30.0] * 10
    assert sorted(gaps) == gaps
    assert gaps[-1] == 600
    assert 30 < len(written) < 60
    assert written[0] == "work: 30 of 14400, best 3, 30 s, about 4.0 h left"
    assert lines.said == times[-1]
    Lines(written.append, "x", clock).write(5, 5)
    assert written[-1] == "x: 5 of 5, 0 s"


def test_short_work_writes_nothing_and_its_note_is_not_asked_for() -> None:
    clock, written = Clock(), list[str]()
    lines = Lines(written.append, "work", clock)

    def never() -> str:
        raise AssertionError

    for _ in range(29):
        clock.now += 1
        lines.update(1, None, never)
    assert written == []
    clock.now += 1
    lines.update(7, None)
    assert written == ["work: 7, 30 s"]


def test_durations_are_for_people() -> None:
    durations = (0.4, 59, 61, 599, 600, 3600, 7200, 36000)
    assert [shown(seconds) for seconds in durations] == [
        "0 s", "59 s", "1 min 1 s", "9 min 59 s", "10 min", "60 min", "2.0 h", "10.0 h"
    ]  # fmt: skip


def space() -> SearchSpace:
    return SearchSpace([Choice("a", range(20))])


def test_a_long_search_writes_lines_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock))

    def evaluate(architecture: object) -> float:
        clock.now += 20
        return 1.0

    Search(space(), RandomSearch(), evaluate).run(6)
    assert capsys.readouterr().err.splitlines() == [
        "search: 2 of 6, best value 1, 40 s, about 1 min 20 s left",
        "search: 4 of 6, best value 1, 1 min 20 s, about 40 s left",
        "search: 6 of 6, best value 1, 2 min 0 s",
    ]
    Search(space(), RandomSearch(), evaluate).run(2, title="random draws")
    assert capsys.readouterr().err == "random draws: 2 of 2, best value 1, 40 s\n"
    Search(space(), RandomSearch(), evaluate).run(6, progress=False)
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    Search(space(), RandomSearch(), lambda _: 1.0).run(3, title="[b] draws")
    assert "[b] draws" in terminal.getvalue()
    assert "3/3" in terminal.getvalue()
    assert "3 of 3" not in terminal.getvalue()


def test_work_that_goes_on_counts_its_own_time() -> None:
    written, clock = list[str](), Clock()
    lines = Lines(written.append, "work", clock)
    for done in range(51, 101):
        clock.now += 1
        lines.update(done, 100)
    assert written == ["work: 80 of 100, 30 s, about 20 s left"]


def test_lines_that_cannot_be_written_end_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            refused.append(text)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    refused: list[str] = []
    monkeypatch.setattr(sys, "stderr", Full())
    assert Search(space(), RandomSearch(), lambda _: 1.0).run(3, progress=True).history.n_completed == 3
    assert refused
