"""The guide's figures of what sharing the optimizer's state would save are those that were measured."""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_guide_has_the_figures_of_the_optimizers_state() -> None:
    found = json.loads((ROOT / "benchmarks" / "results" / "optimizer_state.json").read_text())
    guide = " ".join((ROOT / "docs" / "guide" / "executors.md").read_text().split())
    whole, shared = found["scenes"]["adamw"][0], found["scenes"]["zero"]
    assert len(shared) == 2
    assert f"{whole['peak']:.0f} MB at its peak, of which {whole['state']:.0f} MB are AdamW's state" in guide
    assert f"({whole['state'] / whole['peak']:.1%})" in guide
    states = sorted(each["state"] for each in shared)
    assert f"leaves {states[0]:.0f} and {states[1]:.0f} MB of it to the two" in guide
    peaks = sorted(each["peak"] for each in shared)
    assert f"whose peaks were {peaks[0]:.0f} and {peaks[1]:.0f} MB" in guide
    coco = found["coco"]
    assert f"{coco['weights']:.0f} MB of weights, as much of momentum (SGD), or {coco['adamw']:.0f} MB" in guide
    saved = coco["sgd"] * 7 / 8
    assert f"would save {saved:.0f} MB on each, {saved / 2**14:.1%} of a GPU of 16 GB" in guide
