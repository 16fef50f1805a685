"""Workers end together with all that their evaluators have started."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from autopanoptic.nas import Architecture, FunctionEvaluator, ProcessExecutor
from autopanoptic.nas.executors import groups, launch
from tests.processes import alive, content, ending, wait_for_end

# The workers cannot import this module by its name.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


def sleeps_with_a_child(architecture: Architecture) -> float:
    trap = "trap '' TERM;" if architecture["stubborn"] else ""
    child = subprocess.Popen(["sh", "-c", f"{trap} while true; do sleep 0.1; done"])
    path = Path(str(architecture["path"]))
    path.with_suffix(".tmp").write_text(f"{os.getpid()} {child.pid}")
    path.with_suffix(".tmp").rename(path)
    if architecture["stubborn"]:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(3600)
    return 1.0


def started(executor: ProcessExecutor, folder: Path, count: int, stubborn: bool) -> list[int]:
    """Return the ids of busy workers and of what they have started."""
    for number in range(count):
        path = folder / f"pids{number}"
        executor.submit(number, Architecture({"path": str(path), "stubborn": stubborn}))
    pids = [int(pid) for number in range(count) for pid in content(folder / f"pids{number}").split()]
    assert all(map(alive, pids))
    return pids


@pytest.mark.parametrize("stubborn", [False, True])
def test_what_evaluators_have_started_ends_with_the_executor(
    stubborn: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "SECONDS_TO_END", 0.5)
    executor = ProcessExecutor(2)
    executor.start(FunctionEvaluator(sleeps_with_a_child), lambda *_: False)
    pids = started(executor, tmp_path, 2, stubborn)
    executor.stop()
    wait_for_end(pids)


class Stubborn:
    """A process that ends when it is killed, and no sooner."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.killed = False

    def is_alive(self) -> bool:
        return not self.killed


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_many_stubborn_processes_share_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, processes = Clock(), [Stubborn(pid) for pid in range(10)]

    def send(pid: int, number: int) -> None:
        processes[pid].killed |= number == signal.SIGKILL

    monkeypatch.setattr(groups, "time", clock)
    monkeypatch.setattr(os, "killpg", send)
    groups.end_groups(processes, 5)  # type: ignore[arg-type]
    assert all(process.killed for process in processes)
    assert clock.now == pytest.approx(5, abs=0.1)


def leaves_a_fork_behind(architecture: Architecture) -> float:
    # It inherits the worker's pipes, and so keeps them open.
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(3600,))
    child.start()
    Path(str(architecture["path"])).write_text(str(child.pid))
    os._exit(3)


def test_a_worker_is_known_to_have_died_though_a_child_of_it_lives(tmp_path: Path) -> None:
    executor = ProcessExecutor(1)
    executor.start(FunctionEvaluator(leaves_a_fork_behind), lambda *_: False)
    executor.submit(0, Architecture({"path": str(tmp_path / "pid")}))
    outcome = executor.wait(60)
    executor.stop()
    assert outcome is not None
    assert outcome.died
    assert outcome.error == "The worker process died: exit code 3."
    wait_for_end([int(content(tmp_path / "pid"))])


PROGRAM = """
import os, subprocess, sys, time
from pathlib import Path
from autopanoptic.nas import Architecture, FunctionEvaluator, ProcessExecutor

def evaluate(architecture):
    child = subprocess.Popen(["sleep", "3600"])
    path = Path(architecture["path"])
    path.with_suffix(".tmp").write_text(f"{os.getppid()} {os.getpid()} {child.pid}")
    path.with_suffix(".tmp").rename(path)
    child.wait()

if __name__ == "__main__":
    executor = ProcessExecutor(2)
    executor.start(FunctionEvaluator(evaluate), lambda *_: False)
    for number in range(2):
        executor.submit(number, Architecture({"path": f"{sys.argv[1]}/pids{number}"}))
    try:
        executor.wait()
    finally:
        executor.stop()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_what_evaluators_have_started_ends_with_the_program(tmp_path: Path, number: signal.Signals) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program), str(tmp_path)]
    with ending(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)) as process:
        pids = [int(pid) for n in range(2) for pid in content(tmp_path / f"pids{n}").split()]
        if number is signal.SIGINT:  # Ctrl-C reaches the terminal's whole group
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        _, error = process.communicate(timeout=60)
    wait_for_end(pids)
    assert error.count("Traceback") == (number is signal.SIGINT), error


SLOW_IMPORT = """
import os, sys, time
from pathlib import Path

if __name__ != "__main__":
    Path(sys.argv[1], "pids.tmp").write_text(str(os.getpid()))
    Path(sys.argv[1], "pids.tmp").rename(Path(sys.argv[1], "pids0"))
    time.sleep(3600)
"""


def test_an_interrupt_while_the_program_is_imported_ends_all(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(SLOW_IMPORT + PROGRAM)
    command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path)]
    with ending(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)) as process:
        pid = int(content(tmp_path / "pids0"))
        os.killpg(process.pid, signal.SIGINT)
        _, error = process.communicate(timeout=60)
    wait_for_end([pid])
    assert error.count("Traceback") == 1, error
    assert error.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_are_begun_anew_when_the_process_that_starts_them_dies(tmp_path: Path, number: int) -> None:
    executor = ProcessExecutor(2)
    executor.start(FunctionEvaluator(sleeps_with_a_child), lambda *_: False)
    pids = started(executor, tmp_path, 2, stubborn=False)
    assert executor.wait(0.01) is None
    parent = int(Path(f"/proc/{pids[0]}/stat").read_text().split(")")[1].split()[1])
    os.kill(parent, number)
    outcomes: list[Any] = [executor.wait(60), executor.wait(60)]
    assert {outcome.trial_id for outcome in outcomes} == {0, 1}
    assert all(outcome.died and f"signal {int(number)}" in outcome.error for outcome in outcomes)
    wait_for_end(pids)
    (tmp_path / "again").mkdir()
    again = started(executor, tmp_path / "again", 2, stubborn=False)
    executor.stop()
    wait_for_end(again)
