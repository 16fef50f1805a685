"""The process that starts workers, when the one that asked for it has gone."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

from autopanoptic.nas.executors.server import Begin, serve
from autopanoptic.nas.executors.worker import Settings
from tests.processes import content, wait_for_end


def test_it_ends_without_a_word_where_its_driver_was_killed(capfd: pytest.CaptureFixture[str]) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    ours.send(Begin(frozenset(), Settings(b"", threads=1, answers=False)))
    ours.close()
    process = context.Process(target=serve, args=(theirs, 1.0))
    process.start()
    theirs.close()
    process.join(60)
    assert process.exitcode == 0
    assert capfd.readouterr().err == ""


PROGRAM = """
import time
from autopanoptic.nas import FunctionEvaluator, ProcessExecutor

if __name__ == "__main__":
    from slow import evaluate
    executor = ProcessExecutor(1)
    executor.start(FunctionEvaluator(evaluate), lambda *_: False)
    time.sleep(3600)
"""
SLOW = """
import multiprocessing, os, time
from pathlib import Path

def evaluate(architecture):
    return 0.0

if multiprocessing.parent_process() is not None:
    Path("imports").write_text(str(os.getpid()))
    time.sleep(3600)
"""


def test_it_ends_where_its_driver_is_killed_while_it_imports(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "program.py").write_text(PROGRAM)
    driver = subprocess.Popen([sys.executable, "program.py"], cwd=tmp_path)
    try:
        server = int(content(tmp_path / "imports"))
    finally:
        driver.kill()
        driver.wait()
    wait_for_end([server])
