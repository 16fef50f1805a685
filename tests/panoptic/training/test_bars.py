"""What is shown of work that takes long."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from autopanoptic.nas.progress import lines
from autopanoptic.panoptic.training import terminal
from autopanoptic.panoptic.training.bars import bar, bars
from autopanoptic.panoptic.training.terminal import PassProgress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(lines, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_a_file_gets_a_line_now_and_then(clock: SimpleNamespace) -> None:
    console = Console(file=io.StringIO(), width=40)
    with bars(console, "training", ["searched", "[b]"]) as move:
        for done in range(1, 5):
            clock.now += 16
            move("searched", done, 10)
            move("[b]", done - 1, 10)
    with bar(console, "generating scenes") as move_one:
        move_one(1, 2)
        clock.now += 31
        move_one(2, 2)
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "training: 2 of 20, searched 2, [b] 0, 32 s, about 4 min 48 s left",
        "training: 6 of 20, searched 4, [b] 2, 1 min 4 s, about 2 min 29 s left",
        "generating scenes: 2 of 2, 31 s",
    ]


def test_a_terminal_gets_bars() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with bars(console, "training", ["searched", "random"]) as move:
        move("searched", 3, 10)
        move("random", 5, 10)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "training searched" in shown
    assert " 5/10" in shown


class Held(io.TextIOWrapper):
    """A file that holds back what is written to it until it is flushed, as one on disk does."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8")

    @property
    def arrived(self) -> list[str]:
        return self.buffer.getvalue().decode().splitlines()  # type: ignore[attr-defined, no-any-return]


def test_a_trainings_line_is_in_the_file_at_once(clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    file = Held()
    monkeypatch.setattr(sys, "stdout", file)
    devices = [PassProgress("supernet", 10), PassProgress("supernet", 10)]
    trainers: list[Any] = [SimpleNamespace(is_global_zero=first) for first in (True, False)]  # the first speaks
    for shown, trainer in zip(devices, trainers, strict=True):
        shown.on_train_start(trainer, at(0))
    for done in range(1, 4):
        clock.now += 16
        for shown, trainer in zip(devices, trainers, strict=True):
            shown.on_train_batch_end(trainer, at(done))
        expected = [] if done == 1 else ["supernet: 2 of 10, 32 s, about 2 min 8 s left"]
        assert file.arrived == expected


@pytest.mark.parametrize("end", ["on_train_end", "on_exception"])
def test_a_training_has_one_line_on_a_terminal_and_leaves_none(monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    monkeypatch.setattr(terminal, "get_console", lambda: console)
    shown, trainer = PassProgress("supernet, random paths", 600), cast("Any", SimpleNamespace(is_global_zero=True))
    shown.on_train_start(trainer, at(240))  # goes on with an interrupted one
    shown.on_train_batch_end(trainer, at(241))
    getattr(shown, end)(trainer, at(241), *([KeyboardInterrupt()] if end == "on_exception" else []))
    drawn = console.file.getvalue()  # type: ignore[attr-defined]
    assert "241/600" in drawn
    assert drawn.count("\n") == 1  # the bar's own, which is taken back
    assert drawn.endswith("\x1b[1A\x1b[2K")


def at(passes: int) -> Any:
    return SimpleNamespace(passes=passes)


def test_other_lines_are_in_the_file_at_once(clock: SimpleNamespace) -> None:
    file = Held()
    with bar(Console(file=file, width=80), "generating scenes") as move:
        move(1, 2)
        clock.now += 31
        move(2, 2)
        assert file.arrived == ["generating scenes: 2 of 2, 31 s"]
