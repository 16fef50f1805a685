"""What the benchmark of the driver counts, by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autopanoptic.nas import BayesianOptimization, Choice, RandomSearch, Search, SearchSpace
from benchmarks.scaling.batches import ask_times
from benchmarks.scaling.beyond import simulate_many
from benchmarks.scaling.real import in_processes, on_ray
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


def test_thousands_of_workers_share_their_trials() -> None:
    found = simulate_many([0.5, 1.0, 2.0], mean=50.0, workers=40, a_worker=20)
    assert (found["workers"], found["trials"]) == (40, 800)
    assert found["busy"] > 0.95, "neither the beginning nor the end of the search counts"
    assert found["keeps_busy"] == pytest.approx(50.0 / found["ms_a_trial"] * 1e3)


def test_proposals_are_timed_after_trials_that_have_been_told() -> None:
    found = ask_times(BayesianOptimization(initial=4), told=6, batch=3, rounds=1)
    assert (found["told"], found["batch"]) == (6, 3)
    assert found["one_ms"] > 0
    assert found["batch_ms"] > 0


def test_processes_sleep_for_a_tenth_of_a_second() -> None:
    found = in_processes(workers=2, trials=8)
    assert found["median_ms"] >= 100
    assert found["idle_ms"] == pytest.approx(100 * (1 / found["busy"] - 1))


def test_ray_is_measured_with_this_library_and_without() -> None:
    pytest.importorskip("ray")
    ours, bare = on_ray(workers=2, trials=8)
    assert [row["trials"] for row in (ours, bare)] == [8, 8]
    assert ours["executor"] == "RayExecutor"
    assert min(ours["median_ms"], bare["median_ms"]) >= 100


def test_the_page_has_a_table_of_every_part(tmp_path: Path) -> None:
    beyond = {"workers": 4096, "trials": 81920, "seconds": 0.3, "ms_a_trial": 0.25, "busy": 0.5, "keeps_busy": 1200.0}
    parts = {
        "beyond": [beyond],
        "batches": [{"strategy": "Evolution(population=64)", "told": 256, "batch": 64, "one_ms": 2.0, "batch_ms": 9.0}],
        "real": [
            {"executor": "Ray alone", "workers": 8, "trials": 400, "busy": 0.8, "idle_ms": 25.0, "driver_ms": 1.5}
        ],
    }
    (tmp_path / "delays.json").write_text(json.dumps({"source": "a log", "delays": 3, "quantiles": [1]}))
    for name, rows in parts.items():
        values = {"machine": {"cpu": "x", "cores": 2, "load": 1.25}, "rows": rows}
        (tmp_path / f"{name}.json").write_text(json.dumps(values))
    write_page(tmp_path, tmp_path / "page.md")
    page = (tmp_path / "page.md").read_text()
    assert "Each\nworker has 20 trials on average" in page
    assert "`ask(k)` after 256 trials: milliseconds of the processor for one proposal and for 64 at once" in page
    assert "| `Evolution`, population 64 | 2.00 | 9.00 | 0.14 | 4.5 |" in page
    assert "| Ray alone | 8 | 400 | 80.0% | 25.0 | 1.50 |" in page
    assert "| 0.3 | 0.25 | 50.0% | 1,200 workers |" in page
