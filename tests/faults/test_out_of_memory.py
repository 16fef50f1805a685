"""Workers that find no memory: killed as by the system, or by a limit of their own."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from autopanoptic.nas import Architecture, Choice, Context, GridSearch, ProcessExecutor, Search, SearchSpace, TrialState

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and needs limits that are kept")

SPACE = SearchSpace([Choice("a", range(6))])
GREEDY, BROKEN = 2, 4
GIGABYTE, SPARE = 2**30, 2**26
SYSTEM = "died: signal 9, often the system's answer to a lack of memory"
LIMIT = "died: signal 11, as of compiled code that has failed; a lack of memory, or a limit on it"


def limited() -> None:
    """Let this process have a little more memory than it has, and no more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + SPARE, hard))


def killed_by_the_system() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def native() -> None:
    """Allocate as compiled code does that does not look at what it is given."""
    limited()
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    ctypes.memset(libc.malloc(GIGABYTE) or 0, 1, GIGABYTE)


def in_python() -> None:
    limited()
    try:
        bytearray(GIGABYTE)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.getrlimit(resource.RLIMIT_AS)[1],) * 2)


class Evaluation:
    """One architecture takes too much memory, as often as it is told; another one raises.

    Args:
        takes: the memory.
        times: how often.
    """

    def __init__(self, takes: Any, times: int) -> None:
        self.takes, self.times = takes, times

    def __call__(self, architecture: Architecture, context: Context) -> float:
        if architecture["a"] == BROKEN:
            raise ArithmeticError("of this architecture")
        if architecture["a"] == GREEDY:
            attempts = context.folder / "attempts"
            attempts.open("a").write("x")
            if len(attempts.read_text()) <= self.times:
                self.takes()
        return float(architecture["a"])


def searched(tmp_path: Path, evaluate: Evaluation, **options: Any) -> tuple[Search, dict[int, Counter[str]]]:
    """Return a search, and how many events of each kind the journal has of each trial."""
    search = Search(
        SPACE, GridSearch(), evaluate, executor=ProcessExecutor(2), folder=tmp_path / "f", journal=tmp_path / "j",
        **options,
    )  # fmt: skip
    search.run(progress=False)
    events: dict[int, Counter[str]] = {trial.id: Counter() for trial in search.history}
    for line in (tmp_path / "j").read_text().splitlines():
        event = json.loads(line)
        if "trial" in event:
            events[event["trial"]][event["event"]] += 1
    others = [trial for trial in search.history if trial.id not in (GREEDY, BROKEN)]
    assert {trial.state for trial in others} == {TrialState.COMPLETED}
    assert all(events[trial.id] == {"asked": 1, "completed": 1} for trial in others)
    # What the architecture does wrong is not tried again.
    assert events[BROKEN] == {"asked": 1, "failed": 1}
    assert "ArithmeticError: of this architecture" in (search.history[BROKEN].error or "")
    return search, events


@pytest.mark.parametrize(("takes", "message"), [(killed_by_the_system, SYSTEM), (native, LIMIT)])
def test_a_worker_without_memory_is_replaced_and_its_trial_run_again(tmp_path: Path, takes: Any, message: str) -> None:
    search, events = searched(tmp_path, Evaluation(takes, times=2), retries=2)
    assert search.history[GREEDY].state is TrialState.COMPLETED
    assert events[GREEDY] == {"asked": 1, "died": 2, "restarted": 2, "completed": 1}
    died = [json.loads(line) for line in (tmp_path / "j").read_text().splitlines() if '"died"' in line]
    assert all(message in event["error"] for event in died)


@pytest.mark.parametrize(("takes", "message"), [(killed_by_the_system, SYSTEM), (native, LIMIT)])
def test_a_trial_that_always_lacks_memory_fails_after_its_retries(tmp_path: Path, takes: Any, message: str) -> None:
    search, events = searched(tmp_path, Evaluation(takes, times=9), retries=1)
    assert search.history[GREEDY].state is TrialState.FAILED
    assert message in (search.history[GREEDY].error or "")
    assert events[GREEDY] == {"asked": 1, "died": 2, "restarted": 1, "failed": 1}


def test_what_python_raises_without_memory_is_the_evaluators_to_name(tmp_path: Path) -> None:
    search, events = searched(tmp_path, Evaluation(in_python, times=1))
    assert events[GREEDY] == {"asked": 1, "failed": 1}
    assert "MemoryError" in (search.history[GREEDY].error or "")
    (tmp_path / "again").mkdir()
    search, events = searched(tmp_path / "again", Evaluation(in_python, times=1), retry_on=MemoryError)
    assert events[GREEDY] == {"asked": 1, "attempt_failed": 1, "restarted": 1, "completed": 1}
