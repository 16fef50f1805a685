"""The whole search through the command line on data with things alone, and with stuff alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from autopanoptic.nas import Result
from autopanoptic.panoptic.cli import app
from autopanoptic.panoptic.data.coco.layout import find_splits
from autopanoptic.panoptic.data.scenes.files import write_scenes
from autopanoptic.panoptic.results.saved import load_network

runner = CliRunner()
PASSES = ("--largest-passes", "1", "--supernet-passes", "2", "--retrain-passes", "1")


def reduced(root: Path, *, things: bool) -> Path:
    """Leave one kind of category in scenes; the rest becomes void."""
    for source in (root / "annotations").glob("*.json"):
        content = json.loads(source.read_text())
        content["categories"] = [c for c in content["categories"] if c["isthing"] == things]
        kept = {category["id"] for category in content["categories"]}
        for entry in content["annotations"]:
            entry["segments_info"] = [s for s in entry["segments_info"] if s["category_id"] in kept]
            ids = [segment["id"] for segment in entry["segments_info"]]
            _make_void(source.with_suffix("") / entry["file_name"], ids)
        source.write_text(json.dumps(content))
    return root


def _make_void(path: Path, ids: list[int]) -> None:
    with Image.open(path) as picture:
        colors = np.array(picture)
    found = colors.astype(np.uint32) @ np.array([1, 256, 256**2], dtype=np.uint32)
    colors[~np.isin(found, ids)] = 0
    Image.fromarray(colors).save(path)


@pytest.mark.parametrize("kind", ["things", "stuff"])
def test_a_whole_run(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = reduced(
        write_scenes(tmp_path / "data", {"train": 4, "nas_val": 2, "val": 2}, size=64), things=kind == "things"
    )
    command = ["run", "--data", str(root), "--name", "x", "--quick", "--trials", "2", "--strategy", "random",
               "--image-size", "64", "--device", "cpu", "--workers", "1", "--trainings", "1",
               "--set", "machine.supernet_processes=1", *PASSES]  # fmt: skip
    done = runner.invoke(app, [*command, "--max-gflops", "50"])
    assert done.exit_code == 0, done.output
    networks = json.loads((tmp_path / "runs" / "x" / "metrics.json").read_text())["networks"]
    other = {"things": "stuff", "stuff": "things"}[kind]
    for values in networks.values():
        assert 0 <= values["pq"] <= 100
        assert f"pq_{kind}" in values
        assert f"pq_{other}" not in values
        assert values["gflops"] > 0
    config = load_network(tmp_path / "runs" / "x" / "networks" / "searched").config
    assert (config.num_things > 0, config.num_stuff > 0) == (kind == "things", kind == "stuff")
    assert Result.from_journal(tmp_path / "runs" / "x" / "search.jsonl").history.n_completed == 2


def test_an_objective_of_the_other_kind_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = reduced(write_scenes(tmp_path / "data", {"train": 4, "nas_val": 2, "val": 2}, size=64), things=True)
    assert not find_splits(root).open().train.categories.stuff
    done = runner.invoke(app, ["run", "--data", str(root), "--objective", "pq_stuff", "--name", "x", "--quick"])
    assert done.exit_code == 1
    assert "objective='pq_stuff', but" in " ".join(done.output.split())
    assert not (tmp_path / "runs" / "x" / "supernet").exists()
