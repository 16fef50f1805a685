"""The smoke test of all stages: what it compares, and that it sees what differs and what is left over."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks.smoke import programs
from benchmarks.smoke import walks as walking
from benchmarks.smoke.compare import differences
from benchmarks.smoke.plan import full, short
from benchmarks.smoke.programs import Program

PAGE = '<p>PQ 3.1, 7.2 ms</p><section id="seconds"><td>12</td></section>'


@pytest.fixture
def walks(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders that differ in times alone."""
    for number, name in enumerate(("one", "other")):
        folder = tmp_path / name / "runs"
        (folder / "log").mkdir(parents=True)
        (folder / "metrics.json").write_text(
            json.dumps(
                {
                    "data": str(folder / "data.json"),
                    "seconds": {"data": number},
                    "networks": {"a": {"pq": 1.5, "latency_ms": 3.0 + number}},
                }
            )
        )
        events = [{"event": "completed", "trial": trial, "metrics": {"pq": 1.5}, "time": number} for trial in (0, 1)]
        breaks = [{"event": "interrupted", "trials": [0]}, {"event": "restarted", "trial": 0}]
        told = events if number else [*reversed(events), *breaks]
        header = {"event": "search", "seed": 3, "id": f"of walk {number}"}
        (folder / "search.jsonl").write_text("".join(json.dumps(event) + "\n" for event in [header, *told]))
        (folder / "report.html").write_text(PAGE.replace("7.2", f"{number}.5").replace("12", str(number)))
        (folder / "log" / "metrics.csv").write_text(str(number))
        (folder / "last.ckpt").write_text(str(number))
        (folder / "a.png").write_bytes(b"png")
        torch.save({"weights": torch.tensor([1.0, float("nan")]), "passes": 3}, folder / "weights.pt")
    return tmp_path / "one", tmp_path / "other"


def test_times_and_interruptions_are_no_difference(walks: tuple[Path, Path]) -> None:
    assert differences(*walks) == ([], 5)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("metrics.json", lambda path: path.write_text(path.read_text().replace("1.5", "1.6"))),
        ("search.jsonl", lambda path: path.write_text(path.read_text().replace("1.5", "1.6"))),
        ("search.jsonl", lambda path: path.write_text(path.read_text().replace('"seed": 3', '"seed": 4'))),
        ("search.jsonl", lambda path: path.write_text(path.read_text().replace('"trial": 1', '"id": 1'))),
        ("report.html", lambda path: path.write_text(path.read_text().replace("3.1", "3.2"))),
        ("a.png", lambda path: path.write_bytes(b"other")),
        ("weights.pt", lambda path: torch.save({"weights": torch.tensor([1.0, 0.0]), "passes": 3}, path)),
        ("weights.pt", lambda path: torch.save({"weights": torch.ones(2, dtype=torch.float64), "passes": 3}, path)),
    ],
)
def test_everything_else_is(walks: tuple[Path, Path], name: str, change: Callable[[Path], object]) -> None:
    change(walks[1] / "runs" / name)
    assert differences(*walks) == ([f"runs/{name} differs"], 4)


def test_what_only_one_has_is_named(walks: tuple[Path, Path]) -> None:
    (walks[0] / "runs" / "a.png").unlink()
    (walks[0] / "runs" / ".b.json.partial").write_text("half")
    assert differences(*walks)[0] == ["runs/.b.json.partial is in one only", "runs/a.png is in other only"]


def test_every_stage_is_in_both_forms() -> None:
    stages = {"data", "pretraining, supernet", "supernet", "search", "pretraining, found", "retraining"}
    for steps in (full(), short()):
        assert stages <= {stage for step in steps for stage in step.stages}
        assert [step.name for step in steps][-3:] == ["evaluate", "predict", "report"]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="there is no /proc")
def test_what_a_killed_program_leaves_behind_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program.py"
    # The child prints, and so has begun for certain before it is looked for.
    child = "import os, time; print(os.getpid()); print('search ──────', flush=True); time.sleep(99)"
    program.write_text(f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}])\n")
    monkeypatch.setattr(programs, "COMMAND", (sys.executable,))
    monkeypatch.setattr(programs, "SECONDS_TO_END", 0.3)
    found = Program([str(program)], tmp_path)
    assert found.wait_for("search") is not None
    found.kill()
    (left,) = found.left_over()
    assert "time.sleep(99)" in left
    subprocess.run(["kill", found.lines[0].strip()], check=True)
    monkeypatch.setattr(programs, "SECONDS_TO_END", 20.0)
    assert found.left_over() == []
    found.end()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="there is no /proc")
@pytest.mark.parametrize(
    ("heard", "body", "code", "stopped"),
    [("IGN", "", 0, False), ("IGN", "time.sleep(2)", 0, True), ("DFL", "", -signal.SIGINT, False)],
)
def test_a_program_that_does_not_heed_ctrl_c_is_at_its_end_or_faulty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: str, body: str, code: int, stopped: bool
) -> None:
    """Python no longer hears Ctrl-C while it shuts down; one that goes on working does not stop."""
    program = tmp_path / "program.py"
    begin = f"import signal, time; signal.signal(signal.SIGINT, signal.SIG_{heard})"
    program.write_text(f"{begin}\nprint('search ──────')\ntime.sleep(0.2)\n{body}\n")
    monkeypatch.setattr(programs, "COMMAND", (sys.executable,))
    monkeypatch.setattr(walking, "AT_ITS_END", 1.0)
    found = Program([str(program)], tmp_path)
    assert found.wait_for("search") is not None
    assert walking._is_stopped(found, kill=False) is stopped
    assert found.end() == code
