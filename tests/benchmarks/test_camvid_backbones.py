"""The table of the backbones on CamVid, and what the trainings of both arms share."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from autopanoptic.panoptic.configs.config import load_config
from benchmarks.camvid_backbones import ARMS, COMMON, SHOWN, table


def estimate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 1, "high": value + 1}


def test_the_table_has_every_figure_with_its_interval() -> None:
    seconds = {"supernet": 100.0, "answer": 200.4}
    arm: dict[str, Any] = {"gflops": 0.7, "mparams": 3.3, "retrain_passes": 300, "training_cpu_seconds": seconds}
    found = {
        "arms": {
            name: {**arm, "intervals": {key: estimate(10 * place) for place, key in enumerate(SHOWN, 1)}}
            for name in ARMS
        },
        "pretrained_minus_scratch": {key: estimate(-3.0) for key in SHOWN},
    }
    console = Console(file=io.StringIO(), width=120)
    console.print(table(found))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for heading in (*SHOWN.values(), "GFLOPs", "CPU s"):
        assert heading in text
    assert "60.0 [59.0, 61.0]" in text
    assert text.count("-3.0 [-4.0, -2.0]") == len(SHOWN)
    assert "300" in text


def test_the_guide_has_the_figures_that_were_kept() -> None:
    root = Path(__file__).resolve().parents[2]
    found = json.loads((root / "benchmarks/results/backbones/camvid.json").read_text())
    page = (root / "docs/guide/backbones.md").read_text()
    for key, heading in SHOWN.items():
        three = [found["arms"][name]["intervals"][key] for name in ARMS] + [found["pretrained_minus_scratch"][key]]
        cells = " | ".join(f"{one['value']:.1f} [{one['low']:.1f}, {one['high']:.1f}]" for one in three)
        assert f"| {heading} | {cells} |" in page


def test_the_arms_differ_in_the_backbone_alone() -> None:
    pretrained, scratch = (load_config("camvid", {**COMMON, **ARMS[name]}) for name in ("pretrained", "scratch"))
    assert (pretrained.backbone(), scratch.backbone()) == ("efficientnet-lite0", "search")
    assert (pretrained.search, pretrained.merge, pretrained.data) == (scratch.search, scratch.merge, scratch.data)
    assert (pretrained.retrain.backbone_factor, scratch.retrain.backbone_factor) == (0.1, 1.0)
