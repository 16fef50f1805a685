"""What docs/guide/panoptic.md says of how steadily paths rank is what is kept in benchmarks/results/supernets."""

from __future__ import annotations

import json
from pathlib import Path

from scipy.stats import kendalltau

ROOT = Path(__file__).resolve().parents[2]


def test_how_steady_the_order_of_paths_is() -> None:
    guide = " ".join((ROOT / "docs/guide/panoptic.md").read_text().split())
    found = json.loads((ROOT / "benchmarks/results/supernets/ranking.json").read_text())
    points, (low, high), (least, most) = found["points"], found["gflops"], found["pq"]
    assert f"--architectures {found['architectures']} --val" in guide
    assert f"of {low:.3f} to {high:.3f} GFLOPs, have {least:.1f} to {most:.1f} PQ on `nas_val`" in guide
    assert f"standard error of {found['standard_error']:.2f} over its {found['images']} images" in guide
    norms, other, halves = (
        "{tau:.2f} [{low:.2f}, {high:.2f}]".format(**found["taus"][name])
        for name in ("batches for batch norms", "nas_val and val", "halves of nas_val")
    )
    assert f"(Kendall's tau {norms})" in guide
    assert f"other images of `val` ({other})" in guide
    assert f"of {found['images'] // 2} images each, tau is {halves}" in guide
    cost = kendalltau([point["gflops"] for point in points], [point["pq"] for point in points]).statistic
    assert f"does not go by their cost (tau {cost:.2f})" in guide
