"""What docs/operators.md says in words of other recipes is what their results say."""

from __future__ import annotations

import json
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks/results/operators"


def of_seed_0(name: str) -> float:
    found = json.loads((RESULTS / f"{name}.json").read_text())
    passes = found["networks"]["hand-made"]["pq"]
    return float(passes[str(found["passes"])][found["seeds"].index(0)])


def test_other_recipes_do_what_the_page_says_of_them() -> None:
    own, slower, faster, larger = (
        of_seed_0(name)
        for name in ("800-passes", *(f"800-passes-{one}" for one in ("slower", "faster", "larger-batches")))
    )
    assert abs(slower - own) < 2  # "changes little"
    assert faster < own - 2  # "loses"
    assert larger > max(own, slower) + 4  # "help most"
    assert of_seed_0("1600-passes-larger-batches") > larger + 1.5  # "gain by twice as many passes"
