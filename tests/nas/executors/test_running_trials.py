"""What happens to trials while they run in workers: reports, their end before time, and failures."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import cloudpickle
import pytest

from autopanoptic.nas import Architecture, Choice, FunctionEvaluator, RandomSearch, Search, SearchSpace
from autopanoptic.nas.executors.base import Executor, Outcome
from tests.nas.executors.conftest import MakeExecutor
from tests.processes import content, wait_for_end

# The workers cannot import this module by its name.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

SPACE = SearchSpace([Choice("a", range(50))])


class Running(Protocol):
    def __call__(
        self, function: Callable[..., Any], workers: int = 1, on_report: Any = ..., answers: bool = True
    ) -> AbstractContextManager[Executor]:
        """Run an executor of a function for as long as the context lasts."""


@pytest.fixture
def running(make_executor: MakeExecutor) -> Running:
    @contextmanager
    def run(
        function: Callable[..., Any], workers: int = 1, on_report: Any = lambda *_: False, answers: bool = True
    ) -> Iterator[Executor]:
        executor = make_executor(workers)
        executor.start(FunctionEvaluator(function), on_report, answers=answers)
        try:
            yield executor
        finally:
            executor.stop()

    return run


def next_of(executor: Executor) -> Outcome:
    outcome = executor.wait(60)
    assert outcome is not None
    return outcome


def ready(executor: Executor, quick: dict[str, str]) -> None:
    """Wait until the next trial begins when it is submitted."""
    executor.submit(99, Architecture(quick))
    assert next_of(executor).trial_id == 99


def reports_then_writes(architecture: Architecture, report: Any) -> float:
    for step in range(5):
        report(step, {"value": 1.0})
    Path(str(architecture["path"])).write_text("done")
    return 1.0


def test_a_report_that_no_rule_reads_waits_for_nobody(running: Running, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with running(
        reports_then_writes, on_report=lambda trial, step, *_: seen.append((trial, step)), answers=False
    ) as it:
        ready(it, {"path": str(tmp_path / "ready")})
        seen.clear()
        it.submit(4, Architecture({"path": str(tmp_path / "done")}))
        assert content(tmp_path / "done") == "done"
        assert seen == []  # nobody has listened so far
        assert next_of(it).metrics == {"value": 1.0}
    assert seen == [(4, step) for step in range(5)]


def reports_for_ever(architecture: Architecture, report: Any) -> float:
    step = 0
    while architecture["endless"]:
        report(step := step + 1, {"value": 1.0})
    return 2.0


def test_who_reports_without_end_keeps_no_other_result_back(running: Running) -> None:
    with running(reports_for_ever, workers=2, answers=False) as it:
        it.submit(0, Architecture({"endless": True}))
        it.submit(1, Architecture({"endless": False}))
        assert next_of(it).trial_id == 1
        assert it.wait(0.1) is None


def test_a_trial_that_is_to_end_ends_though_its_reports_wait_for_nobody(running: Running) -> None:
    with running(reports_for_ever, on_report=lambda trial, step, *_: step > 20, answers=False) as it:
        it.submit(0, Architecture({"endless": True}))
        outcome = next_of(it)
        assert (outcome.trial_id, outcome.stopped, outcome.died) == (0, True, False)
        it.submit(1, Architecture({"endless": False}))
        assert next_of(it).metrics == {"value": 2.0}


def leaves_a_thread(architecture: Architecture, report: Any) -> float:
    def go_on() -> None:
        while True:
            time.sleep(0.002)
            report(1, {"value": float(architecture["number"])})

    threading.Thread(target=go_on, daemon=True).start()
    time.sleep(0.01)
    report(0, {"value": float(architecture["number"])})
    return float(architecture["number"])


@pytest.mark.parametrize("answers", [True, False])
def test_reports_from_threads_and_of_trials_that_have_ended_confuse_nobody(running: Running, answers: bool) -> None:
    seen: list[tuple[int, float]] = []

    def on_report(trial_id: int, step: int, metrics: Any, seconds: Any) -> bool:
        seen.append((trial_id, metrics["value"]))
        return False

    with running(leaves_a_thread, on_report=on_report, answers=answers) as it:
        for number in range(12):
            it.submit(number, Architecture({"number": number}))
            outcome = next_of(it)
            assert (outcome.trial_id, outcome.metrics) == (number, {"value": float(number)})
    assert {trial for trial, _ in seen} == set(range(12))
    assert all(trial == value for trial, value in seen)


def test_late_reports_are_not_taken_for_those_of_another_attempt(running: Running) -> None:
    seen: list[float] = []
    with running(leaves_a_thread, on_report=lambda trial, step, metrics, seconds: seen.append(metrics["value"])) as it:
        it.submit(0, Architecture({"number": 1}))
        next_of(it)
        assert set(seen) == {1.0}
        seen.clear()
        time.sleep(0.02)  # late reports come in
        it.submit(0, Architecture({"number": 2}))
        next_of(it)
    assert set(seen) == {2.0}


def sleeps_with_a_child(architecture: Architecture) -> float:
    if architecture["path"]:
        child = subprocess.Popen(["sleep", "3600"])
        path = Path(str(architecture["path"]))
        path.with_suffix(".tmp").write_text(f"{os.getpid()} {child.pid}")
        path.with_suffix(".tmp").rename(path)
        child.wait()
    return 3.0


def test_an_abandoned_trial_ends_with_all_it_has_started_and_no_outcome_of_it_follows(
    running: Running, tmp_path: Path
) -> None:
    with running(sleeps_with_a_child, workers=2) as it:
        ready(it, {"path": ""})
        it.submit(0, Architecture({"path": str(tmp_path / "pids")}))
        pids = [int(pid) for pid in content(tmp_path / "pids").split()]
        assert not it.abandon(1)
        assert it.abandon(0)
        assert not it.abandon(0)
        wait_for_end(pids)
        for number in (1, 2):  # both places are free
            it.submit(number, Architecture({"path": ""}))
        assert {next_of(it).trial_id, next_of(it).trial_id} == {1, 2}
        assert it.wait(0.1) is None


def test_a_result_that_has_come_is_not_abandoned(running: Running) -> None:
    with running(sleeps_with_a_child, workers=2) as it:
        for number in (0, 1):
            it.submit(number, Architecture({"path": ""}))
        time.sleep(0.01)
        first = next_of(it).trial_id
        assert not it.abandon(first)
        assert next_of(it).trial_id == 1 - first


def breaks_its_device(architecture: Architecture) -> dict[str, float]:
    """Behave as with a GPU: after one error, all that the process computes on it fails."""
    cuda = SimpleNamespace(is_initialized=lambda: bool(architecture["cuda"]))
    sys.modules["torch"] = SimpleNamespace(cuda=cuda)  # type: ignore[assignment]
    if architecture["breaks"]:
        os.environ["BROKEN"] = "1"
    if "BROKEN" in os.environ:
        raise RuntimeError("CUDA error: device-side assert triggered")
    return {"value": 1.0, "pid": float(os.getpid())}


def test_after_a_failure_with_a_device_another_process_takes_over(running: Running) -> None:
    with running(breaks_its_device) as it:
        outcomes = []
        for number in range(6):
            it.submit(number, Architecture({"cuda": True, "breaks": number in (1, 4)}))
            outcomes.append(next_of(it))
    failed = [outcome.trial_id for outcome in outcomes if outcome.error is not None]
    assert failed == [1, 4]
    assert not any(outcome.died for outcome in outcomes)
    assert len({outcome.metrics["pid"] for outcome in outcomes if outcome.metrics is not None}) == 3


def test_after_a_failure_without_a_device_the_process_goes_on(running: Running) -> None:
    with running(breaks_its_device) as it:
        outcomes = []
        for number in range(3):
            it.submit(number, Architecture({"cuda": False, "breaks": number == 1}))
            outcomes.append(next_of(it))
    assert [outcome.error is None for outcome in outcomes] == [True, False, False]


def changes_the_folder(architecture: Architecture) -> float:
    os.chdir("/")
    return float(architecture["a"])


def test_evaluators_that_change_the_folder_hurt_nobody(
    make_executor: MakeExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = Search(SPACE, RandomSearch(), changes_the_folder, executor=make_executor(2), journal="j.jsonl").run(6)
    assert result.history.n_completed == 6
    assert (tmp_path / "j.jsonl").exists()
    assert Path.cwd() == tmp_path


class Gated:
    """Loads only when a file is there."""

    def __init__(self, gate: Path) -> None:
        self.gate = gate

    def __setstate__(self, state: dict[str, Any]) -> None:
        content(state["gate"])

    def evaluate(self, architecture: Architecture, report: Any) -> dict[str, float]:
        return {"value": 1.0}


def test_a_trial_has_begun_when_its_worker_has_loaded_what_it_needs(
    make_executor: MakeExecutor, tmp_path: Path
) -> None:
    executor = make_executor(1)
    executor.start(Gated(tmp_path / "gate"), lambda *_: False)
    try:
        executor.submit(0, Architecture({"a": 1}))
        assert executor.wait(0.05) is None
        assert not executor.has_begun(0)
        (tmp_path / "gate").write_text("open")
        assert next_of(executor).metrics == {"value": 1.0}
        executor.submit(1, Architecture({"a": 1}))
        assert (executor.has_begun(0), executor.has_begun(1)) == (False, True)
    finally:
        executor.stop()
