"""Programs that start workers, run in every way that a program can be run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from autopanoptic.nas.executors.launch import ARROW_ALLOCATOR, without_threads

HINT = 'keeps its own work under `if __name__ == "__main__":`'

PROGRAM = """
import atexit
from autopanoptic.nas import Architecture, FunctionEvaluator, ProcessExecutor

print("imported", flush=True)
atexit.register(print, "the end")
WEIGHTS = bytes({size})

def evaluate(architecture):
    return float(len(WEIGHTS))

def main():
    executor = ProcessExecutor(2)
    try:
        executor.start(FunctionEvaluator(evaluate), lambda *_: False)
        executor.submit(0, Architecture({{"a": 1}}))
        print(executor.wait().metrics)
    finally:
        executor.stop()

"""
GUARDED = PROGRAM + 'if __name__ == "__main__":\n    main()\n'
UNGUARDED = PROGRAM + "main()\n"


def run(*arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=120, check=False)


# More than a pipe holds: who sends it must not break down before it can say what is wrong.
@pytest.mark.parametrize("size", [10, 10_000_000])
def test_a_program_without_the_guard_is_told(tmp_path: Path, size: int) -> None:
    (tmp_path / "program.py").write_text(UNGUARDED.format(size=size))
    ended = run(str(tmp_path / "program.py"))
    assert ended.returncode == 1
    last = ended.stderr.rstrip().splitlines()[-1]
    assert last.startswith("RuntimeError: The worker processes end with exit code 1 before they begin")
    assert HINT in last
    assert "BrokenPipeError" not in ended.stderr
    assert "freeze_support" not in ended.stderr


@pytest.mark.parametrize("arguments", [("-",), (), ("/dev/stdin",)])
@pytest.mark.parametrize("program", [GUARDED, UNGUARDED])
def test_a_program_on_standard_input_is_told(program: str, arguments: tuple[str, ...]) -> None:
    if arguments == ("/dev/stdin",) and not os.path.exists("/dev/stdin"):
        pytest.skip("this system has no such file")
    ended = run(*arguments, given=program.format(size=10))
    assert ended.returncode == 1
    last = ended.stderr.rstrip().splitlines()[-1]
    assert last.startswith("RuntimeError: Worker processes import the program")
    assert "standard input. Save it to a file and run that" in last
    assert ended.stdout.splitlines() == ["imported", "the end"]


def test_a_program_in_a_file_is_imported_once_for_all_workers(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(GUARDED.format(size=10))
    ended = run(str(tmp_path / "program.py"))
    assert (ended.returncode, ended.stderr) == (0, "")
    # Once for itself and once for the workers; what is registered for the end is done at its own end alone.
    assert ended.stdout.splitlines() == ["imported", "imported", "{'value': 10.0}", "the end"]


def test_a_program_given_as_an_argument_works() -> None:
    ended = run("-c", GUARDED.format(size=10))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "{'value': 10.0}" in ended.stdout


def test_a_program_that_imports_pyarrow_is_imported_once_too(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow, whose allocator has a thread, is not installed")
    (tmp_path / "program.py").write_text("import pyarrow\n" + GUARDED.format(size=10))
    ended = run(str(tmp_path / "program.py"))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines().count("imported") == 2


def test_what_is_set_for_pyarrow_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ARROW_ALLOCATOR, "narenas:2")
    assert without_threads()[ARROW_ALLOCATOR] == "narenas:2,background_thread:false"
    monkeypatch.delenv(ARROW_ALLOCATOR)
    assert without_threads()[ARROW_ALLOCATOR] == "background_thread:false"
