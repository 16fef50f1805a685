"""What several tests of panoptic maps have in common: categories, and masks in boxes from their definitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autopanoptic.panoptic.data.categories import Categories, Category

CATEGORIES = Categories(
    [
        Category(11, "dog", True, (200, 0, 0)),
        Category(7, "grass", False, (0, 200, 0)),
        Category(5, "cat", True, (0, 0, 200)),
        Category(90, "sky", False, (90, 90, 200)),
        Category(91, "road", False, (90, 90, 90)),
    ]
)


def cells_of(
    box: Sequence[float], height: int, width: int, *, aligned: bool = True
) -> Iterator[tuple[int, int, float, float]]:
    """The cells of a box on a map, row and column, and how far down and along the box their centres lie."""
    x1, y1, x2, y2 = (float(side) for side in box)
    if not aligned:
        x1, y1, x2, y2 = int(x1), int(y1), int(x2) + 1, int(y2) + 1
    for y in range(height):
        for x in range(width):
            if x1 <= x + 0.5 < x2 and y1 <= y + 0.5 < y2:
                yield y, x, (y + 0.5 - y1) / (y2 - y1), (x + 0.5 - x1) / (x2 - x1)


def read(mask: Sequence[Sequence[float]], y: float, x: float) -> float:
    """A mask at a place of the unit square, bilinearly, its border beyond the outermost centres."""
    side = len(mask)
    y, x = (min(max(p * side - 0.5, 0), side - 1) for p in (y, x))
    top, left = min(int(y), side - 2), min(int(x), side - 2)
    above, below = (mask[r][left] * (1 - x + left) + mask[r][left + 1] * (x - left) for r in (top, top + 1))
    return above * (1 - y + top) + below * (y - top)
