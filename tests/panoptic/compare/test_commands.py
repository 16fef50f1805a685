"""The command: its table, what it says, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from typer.testing import CliRunner

from autopanoptic.nas.cli import app as program
from autopanoptic.panoptic.cli import app
from autopanoptic.panoptic.compare import compare, making
from autopanoptic.panoptic.compare.commands import MODELS, OPTIONS
from autopanoptic.panoptic.configs import models
from autopanoptic.panoptic.run.options import DESCRIBING
from tests.processes import wait_for_end

runner = CliRunner()


@pytest.fixture
def world(comparison: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a finished comparison, runs/mine."""
    monkeypatch.chdir(comparison.parents[1])
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)  # it would outlast the test
    return comparison


def invoke(*arguments: str, code: int = 0) -> str:
    result = runner.invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result.output


def words(text: str) -> str:
    return " ".join(text.split())


def test_the_table_fits_a_terminal_and_everything_is_written(world: Path, tmp_path: Path) -> None:
    told = invoke("compare", "--resume", "--json", str(tmp_path / "all.json"))
    assert max(map(len, told.splitlines())) <= 80
    assert "panoptic-fpn" in told
    assert "mean of 2 seeds" in told
    for heading in ("PQ", "Th", "St", "AP", "mIoU", "FLOPs", "95% images", "95% seeds"):
        assert heading in told
    assert (tmp_path / "all.json").read_text() == (world / "summary.json").read_text()
    assert words(told).endswith("Everything: runs/mine")


def test_what_is_there_so_far_is_shown_and_nothing_trained(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (world / "networks" / "hand-made-seed1" / "row.json").unlink()
    monkeypatch.setattr(compare, "_train", None)
    told = words(invoke("compare", "--show", "--against", "hand-made"))
    assert "mean of 1 to 2 seeds" in told
    assert "1 seed " in told
    assert "PQ minus that of hand-made, paired" in told
    assert "one seed" in told
    assert "Not trained yet: hand-made seed 1." in told


def test_the_same_command_goes_on_and_another_is_refused(world: Path, config_file: Path) -> None:
    command = ["compare", "--config", str(config_file), "--models", "panoptic-fpn,hand-made", "--name", "mine"]
    before = {path: path.stat().st_mtime_ns for path in world.glob("networks/*/row.json")}
    invoke(*command, "--seeds", "2", "--workers", "1")
    assert {path: path.stat().st_mtime_ns for path in before} == before
    told = words(invoke(*command, "--seeds", "2", "--retrain-passes", "3", code=1))
    assert "runs/mine holds another comparison, which differs in retrain.passes (2, not 3)" in told
    assert not Path("runs", "other").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--resume", "--models", "upsnet"], "--resume keeps the comparison's own settings; leave out --models"),
        (["--show", "--seed", "3"], "--show keeps the comparison's own settings; leave out --seed"),
        (["--resume", "--against", "upsnet"], "--against upsnet: the comparison has panoptic-fpn, hand-made"),
        (["--resume", "--name", "other"], "there is no comparison in runs/other"),
        (["--seeds", "0", "--name", "x"], "--seeds must be at least 1, not 0"),
        (["--workers", "0", "--name", "x"], "--workers must be at least 1, not 0"),
        (["--models", "upsnt", "--name", "x"], "did you mean upsnet?"),
        (["--init", "supernet", "--name", "x"], "--init: init is supernet, and a comparison trains no supernet"),
        (["--json", "nowhere/all.json", "--name", "x"], "--json nowhere/all.json: there is no folder nowhere"),
    ],
)
def test_what_is_wrong_is_refused_at_once(world: Path, given: list[str], message: str) -> None:
    assert message in words(invoke("compare", *given, code=1))
    assert [path.name for path in Path("runs").iterdir()] == ["mine"]


def test_an_interruption_says_how_to_go_on(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(making, "compare", interrupted)
    told = words(invoke("compare", "--resume", code=130))
    assert told.endswith("Interrupted. To go on: autopanoptic panoptic compare --resume --name mine")


def test_a_run_does_not_begin_where_a_comparison_is(world: Path) -> None:
    told = words(invoke("prepare", "--name", "mine", code=1))
    assert "runs/mine holds a comparison, and no run; choose another name" in told
    assert not (world / "config.yaml").exists()


def test_a_comparison_has_a_report(world: Path) -> None:
    told = words(invoke("report", "mine"))
    assert told == "Report: runs/mine/report.html"
    page = (world / "report.html").read_text()
    for part in ("panoptic-fpn", "hand-made, seed 1", "Compared networks", "95% over the seeds", "searched"):
        assert part in page
    told = words(runner.invoke(program, ["panoptic", "report", "mine", "--format", "reference"]).output)
    assert told == "Error: runs/mine is a comparison, in which nothing is searched: it has no search log"
    for path in world.glob("networks/*/row.json"):
        path.unlink()
    told = words(runner.invoke(program, ["panoptic", "report", "mine"]).output)
    assert (
        "no training of the comparison runs/mine has ended yet. Go on with it by `autopanoptic panoptic compare" in told
    )


def test_the_options_are_those_of_a_training(world: Path) -> None:
    command = typer.main.get_command(app).commands["compare"]  # type: ignore[attr-defined]
    assert set(OPTIONS) < set(DESCRIBING)
    assert {one.name for one in command.params} == {
        *OPTIONS, "models", "seeds", "name", "resume", "show", "against", "workers", "json_file",
    }  # fmt: skip
    assert set(MODELS.split(",")) == set(models.MODELS)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_anywhere_it_goes_on_and_repeats_no_training(config_file: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "autopanoptic.nas.cli", "panoptic", "compare", "--config", str(config_file), "--models",
        "panoptic-fpn,upsnet,hand-made", "--seeds", "2", "--name", "x", "--retrain-passes", "6", "--workers", "2",
    ]  # fmt: skip
    code = "from autopanoptic.nas.cli import app; app()"
    command[1:3] = ["-c", code]
    ended: dict[Path, bytes] = {}
    folder = tmp_path / "runs" / "x"
    for wanted in (1, 3, 5):
        process = subprocess.Popen(command, cwd=tmp_path, env={**os.environ}, start_new_session=True)
        while len(list(folder.glob("networks/*/row.json"))) < wanted and process.poll() is None:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        wait_for_end([process.pid])
        assert {path: path.read_bytes() for path in ended} == ended
        ended = {path: path.read_bytes() for path in folder.glob("networks/*/weights.pt")}
        assert len(ended) >= wanted
    before = {path: path.stat().st_mtime_ns for path in ended}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    assert len(rows) == 6
    assert all(row["latency_ms"] > 0 and row["cpu_seconds"] > 0 for row in rows)
