"""Every command of the page of the published code's steps is run, in its order, on small data sets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from autopanoptic.nas.cli import app
from tests.published_commands import IN_ORDER, in_small, write_world

LOG = "runs/coco/reference/final_test_log.json"
ALONE = "autopanoptic panoptic run --name coco "
"""Is given instead of the rows, for the same run."""


def missing(root: Path) -> set[str]:
    wanted = (
        "coco/nas/panoptic_nas_val2017.json",
        "coco/annotations/PanopticAnnotation/val2017",
        "runs/imagenet/found/backbone.pt",
        "runs/coco/networks/found/weights.pt",
        LOG,
        "runs/published/networks/coco_3.8g/weights.pt",
        "reference.jsonl",
        "runs/again/report.html",
        "ade20k/annotations/panoptic_val.json",
        "cityscapes_panoptic/annotations/panoptic_val.json",
        "runs/small/networks/found/weights.pt",
    )
    return {one for one in wanted if not (root / one).exists()}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_commands_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)  # it would outlast the test
    write_world(tmp_path)
    for line in IN_ORDER:
        given = line.replace(" final_test_log.json", f" {LOG}")
        if line.startswith(ALONE):
            given = given.replace("--name coco", "--name whole")
        done = CliRunner().invoke(app, in_small(given, tmp_path))
        assert done.exit_code == 0, f"{line}\n{done.output}\n{done.exception!r}"
    assert not missing(tmp_path)
    networks = json.loads((tmp_path / "runs" / "again" / "metrics.json").read_text())["networks"]
    assert set(networks) == {"searched", "random", "hand-made"}
