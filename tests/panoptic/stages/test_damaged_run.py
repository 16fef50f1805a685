"""A run whose files are damaged: one line names the file and what to do."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from autopanoptic.panoptic.cli import app
from autopanoptic.panoptic.configs.config import load_config, save_config
from autopanoptic.panoptic.stages.prepare import prepare

runner = CliRunner()
FEW = {"data.scenes": {"train": 2, "nas_val": 1, "val": 1}, "machine.device": "cpu", "machine.workers": 1}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "x"
    folder.mkdir(parents=True)
    settings = load_config("scenes", FEW, quick=True)
    save_config(settings, folder / "config.yaml")
    prepare(settings, folder, Console(file=io.StringIO()))
    return folder


@pytest.mark.parametrize(("file", "content"), [("warmup/last.ckpt", b""), ("supernet.pt", b"PK\x03\x04 cut")])
def test_damaged_weights_end_a_resumed_run_with_one_line(run: Path, file: str, content: bytes) -> None:
    path = run / "supernet" / file
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    done = runner.invoke(app, ["search", "--resume", "--name", "x"])
    assert done.exit_code == 1
    said = " ".join(done.output.split("Error: ")[1].split())
    assert f"{path.name} ({len(content)} bytes) is damaged" in said.replace(" /", "/")
    assert "elete" in said
    assert "Traceback" not in done.output
    assert len(done.output.split("Error: ")[1].splitlines()) <= 4  # one line, wrapped by the terminal
