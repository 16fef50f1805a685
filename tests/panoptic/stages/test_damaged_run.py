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
FEW = {
    "data.scenes": {"train": 2, "nas_val": 1, "val": 1},
    "machine": {"device": "cpu", "workers": 1, "supernet_processes": 1},
}
PUBLISHED = {"search.space": "auto-panoptic", "warmup.passes": 5}


@pytest.mark.parametrize(
    ("changes", "file", "content"),
    [
        ({}, "largest/last.ckpt", b""),
        ({"largest": None}, "random/last.ckpt", b""),
        ({"largest": None, "sandwich": True}, "sandwich/last.ckpt", b""),
        (PUBLISHED, "warmup/last.ckpt", b""),
        ({}, "supernet.pt", b"PK\x03\x04 cut"),
    ],
)
def test_damaged_weights_end_a_resumed_run_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], file: str, content: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "x"
    run.mkdir(parents=True)
    settings = load_config("scenes", {**FEW, **changes}, quick=True)
    save_config(settings, run / "config.yaml")
    prepare(settings, run, Console(file=io.StringIO()))
    path = run / "supernet" / file
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    done = runner.invoke(app, ["run", "--resume", "--name", "x"])
    assert done.exit_code == 1
    said = " ".join(done.output.split("Error: ")[1].split())
    assert f"{path.name} ({len(content)} bytes) is damaged" in said.replace(" /", "/")
    assert "elete" in said
    assert "Traceback" not in done.output
    assert len(done.output.split("Error: ")[1].splitlines()) <= 4  # one line, wrapped by the terminal
