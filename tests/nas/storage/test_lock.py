from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from autopanoptic.nas import (
    Choice,
    Executor,
    InlineExecutor,
    Journal,
    JournalError,
    ProcessExecutor,
    RandomSearch,
    Result,
    Search,
    SearchSpace,
)
from autopanoptic.nas.storage import journal as journal_module
from autopanoptic.nas.storage.lock import FileLock, LockedError

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def test_one_holds_it_and_its_name_is_told(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "l"), FileLock(tmp_path / "l")
    first.acquire()
    for _ in range(2):  # to ask does not wipe the name
        with pytest.raises(LockedError, match=f"^process {os.getpid()} on {socket.gethostname()}$"):
            second.acquire()
    assert (first.held, second.held) == (True, False)
    first.release()
    first.release()
    second.acquire()
    second.release()
    assert (tmp_path / "l").read_text() == ""


def test_a_refused_search_names_the_holder(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as first:
        first.append({"event": "a"})
        with pytest.raises(JournalError, match=rf"by another search, process {os.getpid()} on .*\. Wait for it"):
            Journal(tmp_path / "j").append({"event": "b"})


FORKING = """
import os, sys, time
from autopanoptic.nas import Journal
journal = Journal(sys.argv[1])
journal.append({"event": "held"})
ready, begun = os.pipe()
child = os.fork()
if not child:
    os.close(1)
    os.write(begun, b"x")
    time.sleep(60)
os.read(ready, 1)
print(child, flush=True)
time.sleep(60)
"""


@needs_fork
def test_a_forked_child_does_not_keep_the_lock_of_a_killed_search(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FORKING, str(tmp_path / "j")], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        try:
            with pytest.raises(JournalError, match=f"process {holder.pid} on"):
                Journal(tmp_path / "j").append({"event": "b"})
            holder.kill()
            holder.wait()
            os.kill(child, 0)  # it lives
            with Journal(tmp_path / "j") as journal:
                journal.append({"event": "b"})
        finally:
            os.kill(child, signal.SIGKILL)


WRITING_CHILD = """
import os, sys
from autopanoptic.nas import Journal, JournalError
journal = Journal(sys.argv[1])
journal.append({"event": "a"})
child = os.fork()
if not child:
    try:
        journal.append({"event": "of the child"})
    except JournalError as refusal:
        os._exit(7 if f"process {os.getppid()} on" in str(refusal) else 8)
    os._exit(9)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
journal.append({"event": "b"})
journal.close()
"""


@needs_fork
def test_a_forked_child_is_another_process_like_any(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WRITING_CHILD, str(tmp_path / "j")], capture_output=True, text=True, check=True
    )
    assert done.stdout == "7\n"
    assert [event["event"] for event in Journal(tmp_path / "j").events] == ["a", "b"]


@pytest.mark.parametrize("executor", [InlineExecutor(), ProcessExecutor(1)])
@pytest.mark.parametrize("swallowed", [False, True])
def test_a_disk_that_is_full_at_a_report_ends_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swallowed: bool, executor: Executor
) -> None:
    written = journal_module._write

    def full_at_reports(file: object, line: bytes) -> None:
        if b'"reported"' in line:
            raise OSError(28, "No space left on device")
        written(file, line)  # type: ignore[arg-type]

    def evaluate(architecture: object, report: object) -> float:
        try:
            report(1, {"value": 1.0})  # type: ignore[operator]
        except RuntimeError:
            if not swallowed:
                raise
        return 1.0

    space = SearchSpace([Choice("a", range(9))])
    search = Search(space, RandomSearch(), evaluate, executor=executor, journal=tmp_path / "j")
    with monkeypatch.context() as patch:
        patch.setattr(journal_module, "_write", full_at_reports)
        with pytest.raises(JournalError, match="No space left"):
            search.run(4)
    assert [trial.state.value for trial in search.history] == ["running"]
    assert list(Result.from_journal(tmp_path / "j").history) == list(search.history)
    assert search.run(4).history.n_completed == 4
