"""The table on the terminal."""

from __future__ import annotations

import io
import re
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from autopanoptic.nas import Callback, Search, SearchRun, TableCallback
from autopanoptic.nas.callbacks import table as module
from autopanoptic.nas.callbacks.table import Board, _rate

Made = Callable[..., Search]
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def console(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=130, color_system=None)


def written(made_console: Console) -> str:
    text = made_console.file.getvalue()  # type: ignore[attr-defined]
    return ESCAPES.sub("", text)


def lines_of(board: Board) -> list[str]:
    found = console(False)
    found.print(board.drawn())
    return written(found).splitlines()


def test_off_a_terminal_it_is_written_once_at_the_end(made: Made) -> None:
    shown = console(False)
    search = made(TableCallback(3, shown))
    search.run(20, title="mine")
    text = written(shown)
    counts = search.history.n_completed
    assert text.startswith(f"mine: 20 of 20 trials ({counts} completed, ")
    assert text.count("mine:") == 1
    rows = [line.split() for line in text.splitlines() if re.match(r"\s+\d", line)]
    best = search.history.ranked()[:3]
    assert [(int(row[0]), float(row[1]), row[-1]) for row in rows] == [
        (trial.id, trial.metrics["value"], trial.architecture.id) for trial in best
    ]
    assert "left" not in text
    assert "running" not in text


def test_on_a_terminal_it_is_drawn_while_the_search_runs(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PER_SECOND", 50)
    shown, seen = console(True), list[str]()

    class Looks(Callback):
        def on_trial_report(self, history: Any, trial: Any, step: int, metrics: Any) -> None:
            if trial.id == 9:
                while "running 9, step 1: value" not in written(shown):
                    time.sleep(0.01)  # until another thread has drawn it
                seen.append(written(shown))

    made(TableCallback(2, shown), Looks()).run(10)
    assert "9 of 10 trials" in seen[0]
    assert "left" in seen[0]
    assert "10 of 10 trials" in written(shown)


def test_it_shows_the_progress_where_there_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert TableCallback(console=console(True)).shows_progress
    assert not TableCallback(console=console(False)).shows_progress
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert not TableCallback().shows_progress


def test_the_terminal_is_free_after_an_interrupted_search(
    made: Made, interrupted_after: Callable[[int], Callback]
) -> None:
    shown = console(True)
    with pytest.raises(KeyboardInterrupt):
        made(TableCallback(2, shown), interrupted_after(3)).run(10)
    assert "running 2" in written(shown).splitlines()[-1]
    made(TableCallback(2, shown)).run(10)  # one table at a time: the first has ended


def test_running_trials_and_rates_count_this_run_alone(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    search = made()
    search.run(6)
    board = Board(SearchRun("id", search.history, {}, 20, "mine"), top=2)
    assert lines_of(board)[0].startswith("mine: 6 of 20 trials (")
    assert "trials/" not in lines_of(board)[0]
    for _ in range(12):
        trial = search.ask()
        assert trial is not None
        board.put(trial)
    board.put(search.tell(search.history.running[0], {"value": 1.0}))
    board.put(search.tell(search.history.running[0], {"value": 99.0}))
    clock[0] += 30
    first, *lines = lines_of(board)
    assert "10 running" in first
    assert first.endswith("30 s, 4 trials/min, about 3 min 0 s left")
    assert " 99 " in lines[2]
    assert lines[-9] == "running 8"
    assert lines[-1] == "and 2 more running"
    search.close()


def test_ranking_takes_a_small_share_of_the_time(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, ranked = [0.0], list[float]()
    search = made()
    search.run(10)
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])

    def slow(trials: Any) -> list[Any]:
        ranked.append(clock[0])
        clock[0] += 1.0
        return []

    monkeypatch.setattr(search.history, "ranked", slow)
    board = Board(SearchRun("id", search.history, {}), top=2)
    for _ in range(60):
        board.drawn()
        clock[0] += 1.0
    assert ranked == [0.0, 21.0, 42.0]
    board.close()
    board.drawn()
    assert len(ranked) == 4, "the last table is exact"


def test_rates_are_for_people() -> None:
    assert [_rate(rate) for rate in (123.4, 1.0, 0.5, 1 / 60, 1 / 90)] == [
        "123 trials/s", "1 trials/s", "30 trials/min", "1 trials/min", "40 trials/h"
    ]  # fmt: skip


def test_a_table_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="a number of trials from 1, not 0"):
        TableCallback(0)
