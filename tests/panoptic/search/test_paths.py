"""The paths of a supernet with widths and depths."""

from __future__ import annotations

from collections import Counter

from autopanoptic.nas import Architecture, Choice, SandwichPaths, SearchSpace
from autopanoptic.panoptic.search.paths import SizeSandwich

SPACE = SearchSpace(
    [
        Choice("mask.width", [16, 24, 32]),
        Choice("mask.depth", [1, 2]),
        Choice("mask.0", ["dw3", "dw5", "at3"]),
        Choice("mask.1", ["dw3", "dw5", "at3"], ("mask.depth", 2)),
    ]
)


def test_a_cycle_is_the_largest_the_smallest_and_random_ones() -> None:
    paths = SizeSandwich(SPACE, random=2, seed=3)
    assert isinstance(paths, SandwichPaths)
    assert (paths.cycle, paths.roles) == (4, ("largest", "smallest", "random", "random"))
    drawn = [paths.path(step) for step in range(400)]
    assert all((path["mask.width"], path["mask.depth"]) == (32, 2) for path in drawn[::4])
    assert all((path["mask.width"], path["mask.depth"]) == (16, 1) for path in drawn[1::4])
    assert all("mask.1" not in path for path in drawn[1::4])
    assert {path["mask.width"] for path in drawn[2::4]} == {16, 24, 32}
    assert drawn == [SizeSandwich(SPACE, random=2, seed=3).path(step) for step in range(400)]
    assert drawn[::4] != [SizeSandwich(SPACE, random=2, seed=4).path(step) for step in range(0, 400, 4)]


def test_no_operator_is_trained_more_than_others() -> None:
    paths = SizeSandwich(SPACE)
    for role in range(4):
        uses = Counter(str(paths.path(step)["mask.0"]) for step in range(role, 2400, 4))
        assert all(150 < count < 250 for count in uses.values()), uses
        assert len(uses) == 3


def test_ends_keep_the_constraint_by_plain_operators() -> None:
    def cost(architecture: Architecture) -> int:
        dear = sum(architecture.get(label) == "at3" for label in ("mask.0", "mask.1"))
        return int(architecture["mask.width"]) * (1 + dear)  # type: ignore[arg-type]

    cheap = SPACE.where(lambda architecture: cost(architecture) <= 32, "cheap")
    paths = [SizeSandwich(cheap).path(step) for step in range(1200)]
    assert all(cost(path) <= 32 for path in paths)
    largest, smallest = paths[::4], paths[1::4]
    assert all(path["mask.width"] == 32 for path in largest)
    assert {path["mask.0"] for path in largest} == {"dw3", "dw5"}
    # What keeps the constraint is left as it was drawn.
    assert {path["mask.0"] for path in smallest} == {"dw3", "dw5", "at3"}
