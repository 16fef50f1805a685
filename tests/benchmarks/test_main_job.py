"""The table of several runs of the main job."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from benchmarks.main_job import summary, table


def a_run(seed: int, difference: tuple[float, float, float] | None) -> dict[str, Any]:
    found = {} if difference is None else dict(zip(("value", "low", "high"), difference, strict=True))
    return {
        "seed": seed,
        "seconds": 550,
        "budget": 0.2,
        "networks": {name: {"pq": 50.0 + seed, "gflops": 0.1} for name in ("searched", "random", "hand-made")},
        "differences": {"random": {"value": 1.0, "low": 0.0, "high": 2.0}, **({"hand-made": found} if found else {})},
        "front_above": {"hand-made": 3, "random": 2},
        "front_higher": {"hand-made": 4, "random": 2},
        "budgets": 5,
    }


RUNS = [a_run(0, (-3.0, -4.0, -2.0)), a_run(1, (1.0, -1.0, 3.0)), a_run(2, None)]


def test_a_row_for_each_run() -> None:
    console = Console(file=io.StringIO(), width=140)
    console.print(table(RUNS))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for shown in ("52.0 (0.1)", "-3.0 [-4.0, -2.0]", "the same", "4 (3) of 5"):
        assert shown in text


def test_the_mean_has_an_interval_over_the_seeds() -> None:
    against_random, against_hand_made = summary(RUNS)
    assert against_random == "searched - random: +1.0 over 3 seeds; below beyond the images in 0"
    # mean -2/3 and standard deviation 2.08 of -3, 1 and 0; t of 2 degrees of freedom is 4.303
    assert against_hand_made == ("searched - hand-made: -0.7 [-5.8, 4.5] over 3 seeds; below beyond the images in 1")
    assert summary(RUNS[:1])[1].startswith("searched - hand-made: -3.0 over 1 seeds")
