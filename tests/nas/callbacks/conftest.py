"""A small search whose trials report, fail and are stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autopanoptic.nas import (
    Architecture,
    Callback,
    Choice,
    RegularizedEvolution,
    Report,
    Search,
    SearchSpace,
    StopTrial,
)

SPACE = SearchSpace([Choice("op[0]", ["a", "b", "c"]), Choice("size", range(8)), Choice("wide", [False, True])])


def evaluate(architecture: Architecture, report: Report) -> dict[str, float]:
    size = int(architecture["size"])
    for step in (1, 2):
        report(step, {"value": size + step / 10})
    if size == 0:
        raise RuntimeError("too small")
    if size == 1:
        raise StopTrial
    return {"value": float(size + 10 * (architecture["op[0]"] == "b")), "cost": size / 4}


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Search]:
    """Make the search; with the same journal each time."""

    def make(*callbacks: Callback, **options: Any) -> Search:
        settings = {"journal": tmp_path / "j", "seed": 3, "callbacks": callbacks, **options}
        return Search(SPACE, RegularizedEvolution(5, 3), evaluate, **settings)

    return make


@pytest.fixture
def interrupted_after() -> Callable[[int], Callback]:
    """Make a callback that presses Ctrl-C when so many trials have begun in this run."""

    class Interrupts(Callback):
        def __init__(self, begun: int) -> None:
            self.left = begun

        def on_trial_start(self, history: Any, trial: Any) -> None:
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

    return Interrupts
