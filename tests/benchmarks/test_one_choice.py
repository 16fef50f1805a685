"""Paths with one size changed: which they are, and what the table says of them."""

from __future__ import annotations

import io

from rich.console import Console

from autopanoptic.nas import Architecture, Choice, SearchSpace
from benchmarks.one_choice import Row, filled, paths, table

SPACE = SearchSpace(
    [
        Choice("mask.width", (36, 48)),
        Choice("mask.depth", (1, 2)),
        Choice("mask.0", ("at5", "dw3")),
        Choice("mask.1", ("at5", "dw3")),
    ]
)


def test_each_size_is_changed_alone() -> None:
    largest = SPACE.canonical(filled(SPACE, {}))
    assert dict(largest) == {"mask.width": 48, "mask.depth": 2, "mask.0": "dw3", "mask.1": "dw3"}
    found = paths(SPACE, {"largest": largest})
    assert list(found) == [("largest", "", ""), ("largest", "mask.width", 36), ("largest", "mask.depth", 1)]
    for (_, size, option), one in found.items():
        assert isinstance(one, Architecture)
        assert {label: one[label] for label in one if one[label] != largest[label]} == ({size: option} if size else {})


def test_the_table_says_what_a_change_gains() -> None:
    values = {"pq": 30.0, "pq_things": 31.0, "pq_stuff": 27.0}
    rows = [Row("hand-made", "", "", values), Row("hand-made", "mask.depth", 1, {**values, "pq": 36.5})]
    console = Console(file=io.StringIO(), width=120)
    console.print(table(rows))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    (changed,) = [line for line in lines if "mask.depth" in line]
    assert "+6.5" in changed
    assert "36.5" in changed
