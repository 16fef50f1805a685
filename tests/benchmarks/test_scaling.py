"""What the benchmark of the driver counts, by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autopanoptic.nas import Choice, RandomSearch, Search, SearchSpace
from benchmarks.scaling.report import write_page
from benchmarks.scaling.simulated import SimulatedExecutor, busy_share

SPACE = SearchSpace([Choice("a", range(100))])


def test_simulated_workers_end_by_their_durations_and_are_never_idle() -> None:
    executor = SimulatedExecutor(2, [3.0, 1.0, 1.0, 2.0].__getitem__)
    history = Search(SPACE, RandomSearch(), lambda a: 1.0, executor=executor).run(4, progress=False).history
    assert executor.intervals == [(0, 1), (1, 2), (0, 3), (2, 4)]
    assert [trial.id for trial in history.finished] == [1, 2, 0, 3]


def test_the_driver_s_time_is_that_of_its_clock() -> None:
    times = iter(range(1000))  # each look at the clock takes the driver a second
    executor = SimulatedExecutor(1, lambda trial_id: 10.0, lambda: float(next(times)))
    Search(SPACE, RandomSearch(), lambda a: 1.0, executor=executor).run(5, progress=False)
    gaps = [following[0] - one[1] for one, following in zip(executor.intervals, executor.intervals[1:], strict=False)]
    assert all(end - begin == 10 for begin, end in executor.intervals)
    assert all(gap > 0 for gap in gaps)


def test_the_share_of_busy_time_leaves_out_the_beginning_and_the_end() -> None:
    assert busy_share([(0, 10)], 1) == 1
    # Of the seconds from 1 to 9 the first worker has evaluated 1 to 5 and 7 to 9, the second 1 to 9.
    assert busy_share([(0, 5), (7, 10), (0, 10)], 2) == pytest.approx((4 + 2 + 8) / 16)


def test_the_page_leaves_out_what_has_not_been_measured(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="has no results"):
        write_page(tmp_path, tmp_path / "page.md")
    row = {"name": "ours", "trials": 1000, "cpu_ms": 0.2, "wall_ms": 0.4}
    (tmp_path / "delays.json").write_text(json.dumps({"source": "a log", "delays": 3}))
    (tmp_path / "overhead.json").write_text(
        json.dumps(
            {"machine": {"cpu": "x", "cores": 2, "load": 1.25}, "rows": [row, {**row, "name": "other", "cpu_ms": 0.5}]}
        )
    )
    write_page(tmp_path, tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text()
    assert "Load of the machine: 1.2 on 2 cores." in page
    assert "| other | 1,000 | 0.500 | 0.400 | 2.5 |" in page
    assert "How busy workers are" not in page
