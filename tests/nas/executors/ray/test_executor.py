"""What is Ray's own: where workers are placed, how they die, and what becomes of their trials."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from autopanoptic.nas import (
    Architecture,
    Choice,
    Context,
    FunctionEvaluator,
    RandomSearch,
    RayExecutor,
    Search,
    SearchError,
    SearchSpace,
    SuccessiveHalving,
    TrialState,
)
from autopanoptic.nas.executors.places import place_of_worker
from autopanoptic.nas.executors.ray import connection
from tests.processes import content, wait_for_end

# The workers cannot import this module by its name.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

SPACE = SearchSpace([Choice("a", range(1000))])


def searched(function: Any, executor: RayExecutor, trials: int, **options: Any) -> Search:
    search = Search(SPACE, RandomSearch(), function, executor=executor, **options)
    search.run(trials)
    return search


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "autopanoptic\[ray\]"'):
        RayExecutor(workers=1)


@pytest.mark.usefixtures("local_ray")
def test_workers_are_counted() -> None:
    with pytest.raises(ValueError, match="workers must be at least 1, not 0"):
        RayExecutor(workers=0)


def test_another_address_than_that_of_the_connection_is_refused(local_ray: Any) -> None:
    executor = RayExecutor("127.0.0.1:1", workers=1)
    with pytest.raises(RuntimeError, match=r"connected to the Ray at 127\.0\.0\.1:\d+ already, and not to that"):
        executor.start(FunctionEvaluator(lambda architecture: 1.0), lambda *_: False)
    there = local_ray.get_runtime_context().gcs_address
    assert searched(lambda a: 1.0, RayExecutor(there, workers=1), 2).history.n_completed == 2
    assert local_ray.is_initialized()  # it is the program's own


class Counted:
    """Knows how often it was pickled and loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _count(self, what: str) -> None:
        with (self.folder / what).open("a") as file:
            file.write("x")

    def __getstate__(self) -> dict[str, Any]:
        self._count("pickled")
        return vars(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._count("loaded")

    def evaluate(self, architecture: Architecture, report: Any) -> dict[str, float]:
        return {"value": 1.0}


@pytest.mark.usefixtures("local_ray")
def test_the_evaluator_travels_once_and_each_worker_builds_it_once(tmp_path: Path) -> None:
    searched(Counted(tmp_path), RayExecutor(workers=2), 30)
    assert (tmp_path / "pickled").read_text() == "x"
    assert len((tmp_path / "loaded").read_text()) <= 2


def sees(architecture: Architecture, context: Context) -> dict[str, float]:
    time.sleep(0.05)
    assert context.device == "cuda:0"
    place = place_of_worker()
    assert place is not None
    threads = float(os.environ["OMP_NUM_THREADS"])
    return {"value": float(os.environ.get("CUDA_VISIBLE_DEVICES", "-1")), "place": place, "threads": threads}


@pytest.mark.usefixtures("local_ray")
def test_without_gpus_there_is_no_device() -> None:
    def has_none(architecture: Architecture, context: Context) -> float:
        return float(context.device is None)

    search = searched(has_none, RayExecutor(workers=1), 1)
    assert search.history[0].metrics == {"value": 1.0}


@pytest.mark.usefixtures("local_ray")
def test_two_workers_share_a_gpu() -> None:
    search = searched(sees, RayExecutor(workers=2, resources={"num_gpus": 0.5, "num_cpus": 2}), 40)
    assert {trial.metrics["value"] for trial in search.history} == {0.0}
    assert {trial.metrics["place"] for trial in search.history} == {0.0, 1.0}
    assert {trial.metrics["threads"] for trial in search.history} == {2.0}


@pytest.mark.usefixtures("local_ray")
def test_a_worker_without_room_waits_and_the_others_do_its_trials(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        search = searched(sees, RayExecutor(workers=3, resources={"num_gpus": 1}), 6, ordered=True)
    assert search.history.n_completed == 6
    assert len({trial.metrics["place"] for trial in search.history}) == 1
    assert "3 workers of 1 CPU, 1 GPU each do not fit: there is room for 1 in the cluster as it is" in caplog.text


def dies(architecture: Architecture) -> float:
    if architecture["a"] == 3:
        os._exit(3)
    if architecture["a"] == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return 1.0


@pytest.mark.usefixtures("local_ray")
def test_a_dead_worker_is_replaced_and_its_trial_retried(tmp_path: Path) -> None:
    space = SearchSpace([Choice("a", range(9))])
    search = Search(space, RandomSearch(), dies, executor=RayExecutor(workers=2), retries=1, journal=tmp_path / "j")
    result = search.run()
    failed = {trial.architecture["a"]: trial for trial in result.history if trial.state is TrialState.FAILED}
    assert failed.keys() == {3, 7}
    assert all((trial.error or "").startswith("The worker died: The actor died") for trial in failed.values())
    assert result.history.n_completed == 7
    events = [json.loads(line) for line in (tmp_path / "j").read_text().splitlines()]
    for trial in failed.values():
        kinds = [event["event"] for event in events if event.get("trial") == trial.id]
        assert kinds == ["asked", "died", "restarted", "died", "failed"]


def hangs_once(architecture: Architecture) -> float:
    """The first that comes writes down which processes it is made of, and sleeps."""
    path = Path(os.environ["HANGS"])
    if not path.exists():
        child = subprocess.Popen(["sleep", "3600"])
        path.with_suffix(".tmp").write_text(f"{os.getpid()} {child.pid}")
        path.with_suffix(".tmp").rename(path)
        child.wait()
    return 1.0


def with_environment(function: Callable[[Architecture], float], **variables: str) -> Callable[[Architecture], float]:
    def evaluate(architecture: Architecture) -> float:
        os.environ.update(variables)
        return function(architecture)

    return evaluate


@pytest.mark.usefixtures("local_ray")
def test_a_worker_that_hangs_is_ended_with_its_children_and_replaced(tmp_path: Path) -> None:
    function = with_environment(hangs_once, HANGS=str(tmp_path / "pids"))
    search = searched(function, RayExecutor(workers=1), 5, trial_seconds=2.0)
    states = Counter(trial.state for trial in search.history)
    assert states == {TrialState.FAILED: 1, TrialState.COMPLETED: 4}
    assert "took longer than trial_seconds=2" in (search.history[0].error or "")
    wait_for_end([int(pid) for pid in content(tmp_path / "pids").split()])


@pytest.mark.usefixtures("local_ray")
def test_a_trial_that_waits_for_a_worker_can_be_abandoned(tmp_path: Path) -> None:
    def waits(architecture: Architecture) -> float:
        content(tmp_path / "go on")
        return 1.0

    executor = RayExecutor(workers=2, resources={"num_gpus": 1})
    executor.start(FunctionEvaluator(waits), lambda *_: False)
    try:
        for number in (0, 1):
            executor.submit(number, Architecture({"a": number}))
        while not executor.has_begun(0):
            assert executor.wait(0.01) is None
        assert not executor.has_begun(1)
        assert executor.abandon(1)
        assert not executor.abandon(1)
        (tmp_path / "go on").write_text("now")
        outcome = executor.wait(60)
        assert outcome is not None
        assert outcome.trial_id == 0
        assert executor.wait(0.5) is None
    finally:
        executor.stop()


@pytest.mark.usefixtures("local_ray")
def test_what_comes_behind_a_report_that_cannot_be_taken_is_not_lost(tmp_path: Path) -> None:
    steps: list[int] = []

    def waits(architecture: Architecture, report: Any) -> float:
        content(tmp_path / "go on")
        return trains(architecture, report)

    def taken(trial_id: int, step: int, *_: Any) -> bool:
        steps.append(step)
        if step == 1:
            raise OSError("the disk is full")
        return False

    executor = RayExecutor(workers=1)
    executor.start(FunctionEvaluator(waits), taken, answers=False)
    try:
        executor.submit(0, Architecture({"a": 7}))
        while not executor.has_begun(0):
            assert executor.wait(0.01) is None
        (tmp_path / "go on").write_text("now")
        time.sleep(2)  # so that all it has to say comes at once
        with pytest.raises(OSError, match="full"):
            executor.wait(60)
        outcome = executor.wait(60)
    finally:
        executor.stop()
    assert outcome is not None
    assert outcome.metrics == {"value": 7.0}
    assert steps == list(range(1, 10))


class Deadly:
    """Ends who loads it."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        os._exit(7)

    def evaluate(self, architecture: Architecture, report: Any) -> dict[str, float]:
        return {"value": 1.0}


def deadly() -> Deadly:
    found = Deadly()
    found.__dict__["state"] = 1  # without any it would not be set
    return found


@pytest.mark.usefixtures("local_ray")
def test_workers_that_never_get_ready_end_the_search() -> None:
    with pytest.raises(RuntimeError, match="3 workers in a row died before they were ready"):
        searched(deadly(), RayExecutor(workers=1), 5)


def trains(architecture: Architecture, report: Any) -> float:
    for epoch in range(1, 10):
        report(epoch, {"value": float(architecture["a"]), "pid": float(os.getpid())})
    return float(architecture["a"])


@pytest.mark.usefixtures("local_ray")
def test_successive_halving_ends_trials_in_the_workers() -> None:
    search = searched(trains, RayExecutor(workers=2), 40, stopper=SuccessiveHalving(min_step=1, reduction=3))
    states = Counter(trial.state for trial in search.history)
    assert states[TrialState.STOPPED] > 0
    assert states[TrialState.COMPLETED] > 0
    for trial in search.history.completed:
        assert [step for step, _ in trial.reports] == list(range(1, 10))
    stopped = [trial for trial in search.history if trial.state is TrialState.STOPPED]
    assert all(trial.reports[-1][0] in (1, 3, 9) for trial in stopped)


def test_all_trials_fail_as_they_do_elsewhere(local_ray: Any) -> None:
    with pytest.raises(SearchError, match=r"All 10 trials failed(.|\n)*ZeroDivisionError"):
        searched(lambda architecture: 1 / 0, RayExecutor(workers=1), 20)
