"""The search among components by its commands, small: every stage, and what is done with what it finds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autopanoptic.nas import Result
from autopanoptic.panoptic.cli import app
from autopanoptic.panoptic.model.designs.names import HEAD
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.results.saved import load_network

SPACE = ["--space", "published"]
TINY = [
    "data.scenes={train: 8, nas_val: 2, val: 2}", "largest.passes=2", "supernet.passes=2", "retrain.passes=1",
    "search.trials=6", "search.recalibration_batches=1", "search.finalists=1", "search.screened=0", "machine.workers=1",
    "machine.supernet_processes=1", "machine.trainings=1", "machine.device=cpu", "network.head_operators=[dw3, at3]",
]  # fmt: skip


def panoptic(*arguments: str, code: int = 0) -> str:
    found = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    assert found.exit_code == code, found.output
    return found.output


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec")
@pytest.mark.filterwarnings("ignore:.*available but not used")
def test_every_command_takes_the_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    changes = [part for change in TINY for part in ("--set", change)]
    panoptic("run", "--name", "mixed", *SPACE, *changes)
    folder = Path("runs/mixed")
    assert {path.name for path in (folder / "supernet").iterdir() if path.is_dir()} == {"largest", "random"}
    candidates = Result.from_journal(folder / "search.jsonl").history
    assert {trial.architecture[HEAD] for trial in candidates} == {"searched", "panoptic-fpn", "upsnet"}
    network = load_network(folder / "networks" / "searched")
    assert isinstance(network, PanopticNetwork)
    assert network.config.space == "published"
    assert (folder / "report.html").exists()
    for trial in candidates:  # the last of each semantic head
        trial.architecture.save(tmp_path / f"with-{trial.architecture[HEAD]}.json")
    files = sorted(tmp_path.glob("with-*.json"))
    for file in files:
        panoptic("retrain", "--name", "mixed", "--architecture", str(file))
        network_folder = folder / "networks" / file.stem
        panoptic("export", str(network_folder), "--format", "state-dict", "--out", f"exported-{file.stem}")
        assert json.loads((network_folder / "usage.json").read_text())["merge"]["stuff_area"] == 64
    panoptic("evaluate", "mixed")
    (image,) = list((folder / "data" / "val").rglob("*.png"))[:1] or list((folder / "data").rglob("*.jpg"))[:1]
    panoptic("predict", str(image), "--run", str(folder / "networks" / "searched"), "--out", "pictures")
    assert list(Path("pictures").glob("*.png"))
    file = str(folder / "architecture.json")
    refused = panoptic("retrain", "--config", "scenes", "--name", "other", "--architecture", file, code=1)
    assert "It fits a run with --space published" in refused
