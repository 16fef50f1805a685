"""One process imports what all workers need, and starts them."""

from __future__ import annotations

import importlib
import logging
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
import threadpoolctl
import torch

from autopanoptic.nas import Architecture, FunctionEvaluator, ProcessExecutor
from autopanoptic.nas.executors.base import Outcome
from autopanoptic.nas.executors.needs import pickled_with_needs
from autopanoptic.nas.executors.worker import THREAD_COUNTS

# The workers cannot import this module by its name.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

ARCHITECTURE = Architecture({"a": 1})


def outcomes(function: Callable[..., Any], workers: int, threads: int = 1) -> list[Outcome]:
    """Return what each worker makes of one architecture."""
    executor = ProcessExecutor(workers, threads)
    executor.start(FunctionEvaluator(function), lambda *_: False)
    try:
        for number in range(workers):
            executor.submit(number, ARCHITECTURE)
        found = [executor.wait(60) for _ in range(workers)]
    finally:
        executor.stop()
    assert all(outcome is not None and outcome.error is None for outcome in found), found
    return [outcome for outcome in found if outcome is not None]


def metrics(function: Callable[..., Any], workers: int, threads: int = 1) -> list[dict[str, float]]:
    return [dict(outcome.metrics or {}) for outcome in outcomes(function, workers, threads)]


MODULE = """
import os, threading, time

with open(os.environ["IMPORTED_BY"], "a") as file:
    print(os.getpid(), file=file)

def evaluate(architecture):
    time.sleep(0.05)
    return {"value": 1.0, "pid": os.getpid()}
"""


@pytest.fixture
def imported_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where modules beside it write down which processes have imported them."""
    monkeypatch.setenv("IMPORTED_BY", str(tmp_path / "pids"))
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "pids"


def function_of(folder: Path, name: str, content: str) -> Any:
    (folder / f"{name}.py").write_text(content)
    return importlib.import_module(name).evaluate


def test_what_the_evaluator_needs_is_imported_once(imported_by: Path) -> None:
    function = function_of(imported_by.parent, "needed_by_all_workers", MODULE)
    workers = {int(one["pid"]) for one in metrics(function, 3)}
    assert len(workers) == 3
    driver, *others = map(int, imported_by.read_text().split())
    assert driver == os.getpid()
    assert len(others) == 1
    assert not workers & {*others, driver}


OBSTACLES = {
    "threading.Thread(target=time.sleep, args=(20,), daemon=True).start()": "starts 1 thread",
    "import torch; torch.set_num_threads(3); torch.ones(900, 900) @ torch.ones(900, 900)": "starts ",
    "FILE = open(__file__)": "opens /",
    "import socket; ENDS = socket.socketpair()": "opens socket",
    "DEVICE = open('/dev/full')": "opens /dev/full",  # a GPU's file is as much of a device
}


@pytest.mark.parametrize("line", OBSTACLES)
def test_imports_after_which_a_fork_is_not_safe(line: str, imported_by: Path, caplog: pytest.LogCaptureFixture) -> None:
    there = f"\nif os.getpid() != {os.getpid()}:\n    {line}\n"
    function = function_of(imported_by.parent, f"forbids_forks_{list(OBSTACLES).index(line)}", MODULE + there)
    with caplog.at_level(logging.WARNING):
        (worker,) = metrics(function, 1)
    assert f"the evaluator needs, {OBSTACLES[line]}" in caplog.text
    assert "while it is imported" in caplog.text
    assert int(worker["pid"]) in set(map(int, imported_by.read_text().split()))


def test_a_log_that_an_import_opens_is_no_obstacle(imported_by: Path, caplog: pytest.LogCaptureFixture) -> None:
    line = 'import logging; HANDLER = logging.FileHandler(os.environ["IMPORTED_BY"] + ".log")\n'
    function = function_of(imported_by.parent, "opens_a_log", MODULE + line)
    metrics(function, 2)
    assert len(imported_by.read_text().split()) == 2
    assert caplog.text == ""
    sys.modules["opens_a_log"].HANDLER.close()


def test_an_import_that_fails_fails_the_trials_and_says_why(imported_by: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = MODULE + '\nif os.getpid() != int(os.environ["DRIVER"]):\n    raise ImportError("not here")\n'
    monkeypatch.setenv("DRIVER", str(os.getpid()))
    function = function_of(imported_by.parent, "fails_elsewhere", content)
    executor = ProcessExecutor(1)
    executor.start(FunctionEvaluator(function), lambda *_: False)
    executor.submit(0, ARCHITECTURE)
    outcome = executor.wait(60)
    executor.stop()
    assert outcome is not None
    assert "ImportError: not here" in (outcome.error or "")
    assert "builtins.ImportError" in outcome.error_types


def draws(architecture: Architecture) -> dict[str, float]:
    time.sleep(0.05)
    return {"value": random.random(), "numpy": float(np.random.random())}  # noqa: NPY002


def test_workers_do_not_draw_the_same_numbers() -> None:
    found = metrics(draws, 3)
    assert len({one["value"] for one in found}) == 3
    assert len({one["numpy"] for one in found}) == 3


def counts_threads(architecture: Architecture) -> dict[str, float]:
    pools = [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]
    (torch.ones(50, 50) @ torch.ones(50, 50)).sum()
    variables = {name: float(os.environ[name]) for name in THREAD_COUNTS}
    return {"value": 1.0, "torch": torch.get_num_threads(), "pools": max(pools), **variables}


@pytest.mark.parametrize("threads", [1, 2])
def test_each_worker_may_use_so_many_threads(threads: int) -> None:
    before = dict(os.environ)
    (found,) = metrics(counts_threads, 1, threads)
    assert dict(os.environ) == before
    del found["value"]
    assert found.keys() >= {"torch", "pools", *THREAD_COUNTS}
    assert set(found.values()) == {threads}


class NeedsPath:
    def __init__(self) -> None:
        self.path = Path("x")
        self.function = np.linalg.norm

    def evaluate(self, architecture: Architecture, report: Any) -> dict[str, float]:
        return {"value": float(torch.ones(1)) + random.random()}


def test_needs_are_what_the_pickle_imports_and_not_what_it_holds() -> None:
    pickled, modules = pickled_with_needs(NeedsPath())
    assert {"torch", "random", "pathlib", "numpy.linalg"} <= modules
    assert not modules & {__name__, "__main__", "lightning", "scipy"}
    assert isinstance(cloudpickle.loads(pickled).path, Path)


def lists_descriptors(architecture: Architecture) -> float:
    found = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    Path(str(architecture["path"])).write_text("\n".join(map(str, found)))
    return 1.0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_have_no_descriptors_of_the_driver_or_of_each_other(tmp_path: Path) -> None:
    with (tmp_path / "journal").open("w") as journal:
        os.set_inheritable(journal.fileno(), True)
        executor = ProcessExecutor(3)
        executor.start(FunctionEvaluator(lists_descriptors), lambda *_: False)
        for number in range(3):
            executor.submit(number, Architecture({"path": str(tmp_path / f"descriptors{number}")}))
        assert [outcome and outcome.error for outcome in (executor.wait(60) for _ in range(3))] == [None] * 3
        executor.stop()
    lists = [set((tmp_path / f"descriptors{number}").read_text().split()) for number in range(3)]
    assert not any(str(tmp_path / "journal") in one for one in lists)
    sockets = [{target for target in one if target.startswith("socket:")} for one in lists]
    assert all(len(one) == 1 for one in sockets), sockets
    assert len(set.union(*sockets)) == 3
