"""Workers with a device each; the devices are those that the environment speaks of, and nobody opens one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from autopanoptic.nas import (
    Architecture,
    Choice,
    Context,
    InlineExecutor,
    ProcessExecutor,
    RandomSearch,
    Search,
    SearchSpace,
    device_of_worker,
)
from autopanoptic.nas.executors import devices
from autopanoptic.nas.executors.base import Executor
from autopanoptic.nas.executors.devices import VISIBLE, devices_of

# The workers cannot import this module by its name.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

SPACE = SearchSpace([Choice("a", range(1000))])
IDS = "GPU-a1,GPU-b2,GPU-c3"


@pytest.mark.parametrize(
    ("environment", "given", "expected"),
    [
        ("0,1,2", "cuda", ("0", "1")),
        ("5, 3", "cuda", ("5", "3")),
        ("5,3", ["cuda:1", 0], ("3", "5")),
        ("5,3", [1, 1], ("3", "3")),
        (IDS, ["cuda:2", "cuda:0"], ("GPU-c3", "GPU-a1")),
        (IDS, ["GPU-b2", "MIG-d4"], ("GPU-b2", "MIG-d4")),
    ],
)
def test_devices_are_those_that_this_process_sees(
    environment: str, given: Any, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VISIBLE, environment)
    assert devices_of(given, 2) == expected


@pytest.mark.parametrize(
    ("environment", "given", "problem"),
    [
        ("0", "cuda", r"2 workers need a device each, .* sees 1 \(by CUDA_VISIBLE_DEVICES='0'\)\. Take 1 workers, or"),
        ("-1", "cuda", r"sees 0 \(by CUDA_VISIBLE_DEVICES='-1'\)\. Leave devices out to compute on the CPU"),
        ("", "cuda", "sees 0"),
        ("4,-1,5", "cuda", "sees 1"),
        ("0,1", ["cuda:0"], "1 devices for 2 workers"),
        ("0,1", [0, 1, 0], "3 devices for 2 workers"),
        ("0,1", [0, 2], "no device 2: this process sees 2"),
        ("0,1", [0, -1], "not -1"),
        ("0,1", [0, True], "not True"),
        ("0,1", ["cpu", "cpu"], "not 'cpu'"),
        ("0,1", "cuda:1", "'cuda' or a device for each worker, such as .*, not 'cuda:1'"),
    ],
)
def test_devices_that_do_not_fit_are_refused(
    environment: str, given: Any, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VISIBLE, environment)
    with pytest.raises(ValueError, match=problem):
        ProcessExecutor(2, devices=given)


def test_without_the_variable_the_driver_of_the_devices_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VISIBLE, raising=False)
    monkeypatch.setattr(devices, "_count", lambda: 3)
    assert devices_of("cuda", 3) == ("0", "1", "2")
    monkeypatch.setattr(devices, "_count", lambda: 0)
    with pytest.raises(ValueError, match=r"sees 0 \(of NVIDIA; for others set CUDA_VISIBLE_DEVICES\)"):
        devices_of("cuda", 1)


class Library:
    """NVIDIA's, with two devices."""

    def __init__(self, name: str) -> None:
        self.failed = 0

    def nvmlInit_v2(self) -> int:
        return self.failed

    def nvmlShutdown(self) -> int:
        return 0

    def nvmlDeviceGetCount_v2(self, reference: Any) -> int:
        reference._obj.value = 2
        return 0


def missing(name: str) -> Library:
    raise OSError(name)


def without_devices(name: str) -> Library:
    found = Library(name)
    found.failed = 9
    return found


@pytest.mark.parametrize(("library", "count"), [(Library, 2), (missing, 0), (without_devices, 0)])
def test_devices_are_counted_by_the_library_of_their_driver(
    library: Any, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VISIBLE, raising=False)
    monkeypatch.setattr(devices.ctypes, "CDLL", library)
    assert len(devices.visible()) == count


def test_counting_loads_no_torch() -> None:
    code = (
        "import sys; from autopanoptic.nas import ProcessExecutor; ProcessExecutor(2, devices='cuda'); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, VISIBLE: "0,1"})


class Sees:
    """Tells what a worker and a process of its own see; each device's first worker dies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, architecture: Architecture, context: Context) -> dict[str, float]:
        own = os.environ[VISIBLE]
        assert context.device == device_of_worker() == "cuda:0"
        try:
            (self.folder / own).touch(exist_ok=False)
        except FileExistsError:
            of_child = subprocess.run(["printenv", VISIBLE], capture_output=True, text=True, check=True).stdout
            return {"value": float(own), "child": float(of_child), "pid": float(os.getpid())}
        os._exit(1)


def test_a_worker_sees_its_device_alone_and_who_replaces_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VISIBLE, "4,7,9")
    search = Search(SPACE, RandomSearch(), Sees(tmp_path), executor=ProcessExecutor(2, devices=["cuda:2", 0]))
    search.run(30)
    assert {path.name for path in tmp_path.iterdir()} == {"4", "9"}
    seen = {trial.metrics["pid"]: trial.metrics["value"] for trial in search.history.completed}
    assert sorted(seen.values()) == [4.0, 9.0]
    assert all(trial.metrics["child"] == trial.metrics["value"] for trial in search.history)
    assert os.environ[VISIBLE] == "4,7,9"


MODULE = """
import os, threading

SEEN_WHEN_IMPORTED = os.environ["CUDA_VISIBLE_DEVICES"]
threading.Thread(target=threading.Event().wait, daemon=True).start()  # so that workers are not forked

def evaluate(architecture):
    return float(SEEN_WHEN_IMPORTED)
"""
PROGRAM = """
from autopanoptic.nas import Choice, ProcessExecutor, RandomSearch, Search, SearchSpace

if __name__ == "__main__":
    from evaluates import evaluate
    space = SearchSpace([Choice("a", range(100))])
    result = Search(space, RandomSearch(), evaluate, executor=ProcessExecutor(1, devices=["cuda:1"])).run(2)
    print({trial.metrics["value"] for trial in result.history})
"""


def test_a_worker_that_is_not_forked_has_its_device_before_it_imports(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "evaluates.py").write_text(MODULE)
    ended = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, env={**os.environ, VISIBLE: "4,7"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ended.stdout == "{7.0}\n", ended.stderr


def of_no_device(architecture: Architecture, context: Context) -> float:
    return float(context.device is device_of_worker() is None)


@pytest.mark.parametrize("executor", [InlineExecutor(), ProcessExecutor(1)], ids=["inline", "processes"])
def test_without_devices_workers_are_given_none(executor: Executor) -> None:
    result = Search(SPACE, RandomSearch(), of_no_device, executor=executor).run(1)
    assert result.best.metrics["value"] == 1.0
    assert device_of_worker() is None
