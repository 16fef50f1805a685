"""The command line: what it makes of its options, and its messages."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from autopanoptic.nas.cli import app as program
from autopanoptic.panoptic.cli import app
from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.stages.pipeline import Pipeline
from autopanoptic.panoptic.stages.settings import Settings

runner = CliRunner()


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder in which runs are made, but do nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Pipeline, "run", lambda self: None)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)  # it would outlast the test
    return tmp_path / "runs"


def settings(runs: Path, *options: str) -> Settings:
    result = runner.invoke(app, ["search", "--name", "x", *options])
    assert result.exit_code == 0, result.output
    return Settings.load(runs / "x" / "settings.json")


def test_defaults_are_those_for_scenes(runs: Path) -> None:
    assert settings(runs) == replace(load_config("scenes"), workers=2)


def test_options_reach_the_settings(runs: Path) -> None:
    found = settings(
        runs, "--quick", "--strategy", "regularized-evolution", "--trials", "40", "--objective", "pq_things",
        "--max-flops", "0.2", "--supernet-passes", "36", "--seed", "3", "--device", "cpu", "--difficulty", "varied",
    )  # fmt: skip
    assert (found.strategy, found.trials, found.objective) == ("regularized-evolution", 40, "pq_things")
    assert (found.max_flops, found.supernet.passes, found.seed) == (0.2, 36, 3)
    assert (found.device, found.difficulty, found.scenes.train) == ("cpu", "varied", 48)


@pytest.mark.parametrize("options", [(), ("--quick",)])
def test_a_quick_run_says_that_its_figures_mean_nothing(runs: Path, options: tuple[str, ...]) -> None:
    printed = runner.invoke(app, ["search", *options]).output
    assert ("the figures mean nothing" in " ".join(printed.split())) == bool(options)


def test_without_a_name_the_time_is_taken(runs: Path) -> None:
    assert runner.invoke(app, ["search"]).exit_code == 0
    assert [path.name[:2] for path in runs.iterdir()] == ["20"]


def test_resume_takes_the_latest_run_and_its_settings(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings(runs, "--seed", "7")
    seen: list[Settings] = []
    monkeypatch.setattr(Pipeline, "run", lambda self: seen.append(self.settings))
    assert runner.invoke(app, ["search", "--resume"]).exit_code == 0
    assert seen[0].seed == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--resume"], "runs holds no run to go on with"),
        (["--resume", "--seed", "1"], "leave out --seed"),
        (["--data", "nowhere"], "nowhere: there is no such folder"),
        (["--preset", "coco"], "needs data in COCO panoptic format"),
        (["--preset", "coco", "--quick"], "the coco preset has no quick form"),
        (["--objective", "ap"], "objective='ap' is none of pq"),
        (["--precision", "16"], "precision='16'"),
        (["--difficulty", "hard"], "hard"),
        (["--resume", "--name", "[x]"], "there is no run in runs/[x]"),
        pytest.param(
            ["--device", "cuda"],
            "leave out --device cuda",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU"),
        ),
    ],
)
def test_errors_are_one_line_and_leave_no_run(runs: Path, options: list[str], message: str) -> None:
    result = runner.invoke(app, ["search", *options])
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())
    assert "Traceback" not in result.output
    assert not runs.exists()


def test_an_interrupt_says_how_to_go_on(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Pipeline) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Pipeline, "run", interrupted)
    result = runner.invoke(app, ["search", "--name", "x"])
    assert result.exit_code == 130
    assert "--resume --name x" in " ".join(result.output.split())


def test_a_traceback_is_shown_on_request(runs: Path) -> None:
    result = runner.invoke(program, ["--traceback", "panoptic", "search", "--data", "nowhere"])
    assert result.exit_code == 1
    assert "Traceback" in result.output


def test_damaged_settings_are_named(runs: Path) -> None:
    (runs / "x").mkdir(parents=True)
    (runs / "x" / "settings.json").write_text(json.dumps({"preset": "scenes"}))
    result = runner.invoke(app, ["search", "--resume", "--name", "x"])
    assert result.exit_code == 1
    assert "does not hold the settings of a run" in " ".join(result.output.split())
