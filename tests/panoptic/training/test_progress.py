"""Lines instead of a bar."""

from __future__ import annotations

from autopanoptic.panoptic.training.progress import ProgressLines


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_each_tenth_has_a_line() -> None:
    clock, lines = Clock(), list[str]()
    tell = ProgressLines("training", 200, lines.append, clock)
    for done in range(1, 201):
        clock.now += 0.5
        tell(done)
    assert len(lines) == 10
    assert lines[0] == "training: 20 of 200, 0:10 so far, about 1:30 left"
    assert lines[-1] == "training: 200 of 200, in 1:40"


def test_slow_work_has_a_line_each_minute() -> None:
    clock, lines = Clock(), list[str]()
    tell = ProgressLines("training", 90_000, lines.append, clock)
    for done in range(1, 101):
        clock.now += 2.0
        tell(done)
    assert [line.split(",")[0] for line in lines] == [f"training: {done} of 90000" for done in (30, 60, 90)]
    assert lines[0].endswith("1:00 so far, about 49:59:00 left")


def test_work_that_goes_on_counts_its_own_time() -> None:
    clock, lines = Clock(), list[str]()
    tell = ProgressLines("training", 100, lines.append, clock)
    for done in range(51, 101):
        clock.now += 1.0
        tell(done)
    assert len(lines) == 5
    assert lines[0] == "training: 60 of 100, 0:10 so far, about 0:40 left"


def test_short_work_has_a_line_for_each_step_at_most() -> None:
    lines = list[str]()
    tell = ProgressLines("training", 3, lines.append, Clock())
    for done in (1, 2, 3):
        tell(done)
    assert len(lines) == 3
