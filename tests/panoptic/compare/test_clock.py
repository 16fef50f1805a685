"""The seconds of a training over its interruptions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autopanoptic.panoptic.compare import clock
from autopanoptic.panoptic.compare.clock import Clock


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which a test sets; the process has half of it."""
    now = [100.0]
    monkeypatch.setattr(clock, "_now", lambda: (now[0], now[0] / 2))
    return now


def run(folder: Path, time: list[float], passes: range, every: int = 2) -> Clock:
    found = Clock(folder, every, 6)
    for done in passes:
        time[0] += 10
        found.passed(done)
    return found


def test_an_uninterrupted_training(tmp_path: Path, time: list[float]) -> None:
    assert run(tmp_path, time, range(1, 7)).seconds == (60, 30)


def test_what_was_lost_and_done_again_counts_once_and_time_between_not_at_all(
    tmp_path: Path, time: list[float]
) -> None:
    run(tmp_path, time, range(1, 6))  # killed after pass 5; its last checkpoint is of pass 4
    time[0] += 1000
    assert run(tmp_path, time, range(5, 7)).seconds == (60, 30)
    assert Clock(tmp_path, 2, 6).seconds == (60, 30)  # of a finished training


def test_a_checkpoint_that_was_not_written_any_more(tmp_path: Path, time: list[float]) -> None:
    run(tmp_path, time, range(1, 5))  # noted pass 4, and killed before its checkpoint: it goes on behind pass 2
    assert run(tmp_path, time, range(3, 7)).seconds == (60, 30)


def test_without_a_note_there_is_no_time_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    assert str(Clock(tmp_path, 2, 6).seconds) == "(nan, nan)"
    (tmp_path / "seconds.json").write_text(json.dumps({"2": 3}))
    with pytest.raises(ValueError, match=r"seconds\.json is damaged"):
        Clock(tmp_path, 2, 6)
