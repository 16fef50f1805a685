"""Which images are the best and the worst, and the size at which they are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from autopanoptic.panoptic.data.categories import Categories, Category
from autopanoptic.panoptic.data.segments import PanopticMap, Segment
from autopanoptic.panoptic.report.examples import LARGEST, _example, extremes

KNOWN = Categories([Category(7, "cat", True, (200, 0, 0)), Category(9, "sky", False, (0, 0, 200))])


@pytest.mark.parametrize(
    ("pq", "count", "best", "worst"),
    [
        ([10, 50, 50, 0, 0, 20], 2, [1, 2], [3, 4]),  # of equals the first
        ([10, np.nan, 30], 5, [2], [0]),
        ([10, 20, 30], 2, [2, 1], [0]),  # none twice
        ([np.nan], 1, [], []),
        ([5], 1, [0], []),
    ],
)
def test_extremes(pq: list[float], count: int, best: list[int], worst: list[int]) -> None:
    found = extremes(np.array(pq, dtype=float), count)
    assert (found.best, found.worst) == (best, worst)


def a_map(height: int, width: int, cats: int) -> PanopticMap:
    ids = np.full((height, width), 1, dtype=np.int32)
    ids[: height // 2, : width // 2] = 2
    segments = [Segment(1, 9, 1), Segment(2, 7, 1)][: 1 + cats]
    return PanopticMap(np.where(ids > 1 + cats, 0, ids), segments)


@pytest.mark.parametrize(
    ("size", "drawn", "kind"),
    [((30, 60), (120, 240), "png"), ((400, 300), (400, 300), "jpeg"), ((1000, 2000), (320, LARGEST), "jpeg")],
)
def test_pictures_are_neither_tiny_nor_huge(size: tuple[int, int], drawn: tuple[int, int], kind: str) -> None:
    image = np.full((*size, 3), 90, dtype=np.uint8)
    found = _example("x", image, a_map(*size, cats=1), a_map(*size, cats=0), KNOWN)
    assert [(one.height, one.width) for _, one in found.panels] == [drawn] * 3
    assert all(one.uri.startswith(f"data:image/{kind};") for _, one in found.panels)
    assert [one.alt for _, one in found.panels] == ["The image of x", "Its truth: sky, cat", "Its prediction: sky"]
    shown = {entry.name: (entry.truth, entry.found, entry.color) for entry in found.legend}
    assert shown == {
        "cat": ("1", "-", (200, 0, 0)), "sky": ("75%", "75%", (0, 0, 200)),
    }  # fmt: skip


def test_what_is_there_is_never_nothing() -> None:
    ids = np.full((100, 100), 1, dtype=np.int32)
    ids[1:] = 0
    ids[0, 2:] = 0
    maps = [PanopticMap(ids, [Segment(1, 9, 2)]), PanopticMap(np.zeros_like(ids), [])]
    (entry,) = _example("x", np.zeros((100, 100, 3), dtype=np.uint8), *maps, KNOWN).legend
    assert (entry.name, entry.truth, entry.found) == ("sky", "<1%", "-")
