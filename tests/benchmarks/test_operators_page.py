"""What docs/operators.md says in words of other recipes is what their results say."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.operators.categories import gains, noise

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
    assert max(abs(slower - own), abs(faster - own)) < 2 * 2**0.5 * 3.3  # "beyond what seeds do"
    assert larger > max(own, slower) + 4  # "help most"
    assert of_seed_0("1600-passes-larger-batches") > larger + 1.5  # "gain by twice as many passes"


def test_the_guide_says_of_long_trainings_what_the_results_do() -> None:
    guide = " ".join((RESULTS.parents[2] / "docs/guide/panoptic.md").read_text().split())
    own, long = of_seed_0("800-passes"), of_seed_0("1600-passes")
    larger, longer = of_seed_0("800-passes-larger-batches"), of_seed_0("1600-passes-larger-batches")
    assert f"comes to {own:.1f} after 800 passes from scratch, and to {long:.1f} after twice as many" in guide
    assert f"bring {larger:.1f} in 800 passes, in twice the time, and still gain {longer - larger:.1f} by" in guide


def test_the_category_that_is_learned_late_is_the_one_that_seeds_differ_in_most() -> None:
    long, short = (json.loads((RESULTS / f"{passes}-passes.json").read_text()) for passes in (1600, 800))
    for told in gains(long, short):
        assert " gains by lily +" in told
    assert " lily adds most to that" in noise(short)
