"""The benchmark of learning by heart, on two tiny scenes and for two passes."""

from __future__ import annotations

import json
from pathlib import Path

from autopanoptic.panoptic.configs.models import MODELS
from autopanoptic.panoptic.data.scenes.files import write_scenes
from benchmarks.memorised import memorised, table_of


def test_a_model_is_trained_and_measured_and_goes_on_where_it_was(tmp_path: Path) -> None:
    data = write_scenes(tmp_path / "scenes", {"train": 2, "nas_val": 1, "val": 2}, size=64)
    changes = {"retrain.passes": 2, "data.short_side": 64, "data.long_side": 64}
    passes: list[int] = []
    found = memorised(data, "panoptic-fpn", tmp_path / "run", changes, on_pass=passes.append)
    assert passes == [1, 2]
    assert found["passes"] == 2
    assert 0 <= found["pq"] <= 100
    again = memorised(data, "panoptic-fpn", tmp_path / "run", changes, on_pass=passes.append)
    assert passes == [1, 2]
    assert again["pq"] == found["pq"]
    assert table_of({"panoptic-fpn": found}).row_count == 1


def test_the_guide_has_the_figures_that_were_kept() -> None:
    root = Path(__file__).resolve().parents[2]
    found = json.loads((root / "benchmarks/results/memorised/coco_sample.json").read_text())
    guide = (root / "docs/guide/models.md").read_text()
    assert set(found) == set(MODELS)
    for model, one in found.items():
        figures = " | ".join(f"{one[name]:.1f}" for name in ("pq", "pq_things", "pq_stuff"))
        assert f"| `{model}` | {figures} | {one['passes']} | {one['cpu_seconds']} |" in guide
        assert one["pq"] > 75  # that every part learns
