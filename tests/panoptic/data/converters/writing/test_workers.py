"""Processes that work on images end with the one that has started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.processes import content, wait_for_end

PROGRAM = """
import os, sys, time
from pathlib import Path
from autopanoptic.panoptic.data.converters.writing.workers import work

def job(path):
    Path(path).write_text(str(os.getpid()))
    time.sleep(0.01)

if __name__ == "__main__":
    # The first two outcomes, and then it waits for ever, and the workers for jobs.
    outcomes = work(job, [f"{sys.argv[1]}/{number}" for number in range(2)], 2)
    next(outcomes), next(outcomes)
    Path(sys.argv[1], "waits").write_text("yes")
    time.sleep(3600)
"""


def test_workers_end_with_a_program_that_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    process = subprocess.Popen([sys.executable, str(program), str(tmp_path)])
    try:
        content(tmp_path / "waits")
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    wait_for_end([int(content(tmp_path / str(number))) for number in range(2)])
