"""A panoptic picture of one image: segments with names and scores, and a legend beside them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from autopanoptic.nas.storage.files import whole
from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.coco.images import Pixels
from autopanoptic.panoptic.data.segments import PanopticMap
from autopanoptic.panoptic.results.overlay import name_segments, overlay

DPI = 100
SOFTWARE = "AutoPanoptic"
"""What a picture says that it was written by."""
SMALLEST, THINNEST = 480, 40
"""Pixels of the longer and of the shorter side of the image in the picture, at least."""
ROW, LEGEND = 22, 300
"""Pixels of a row of the legend, and of its width."""
SCORES = 4
"""Scores of a class that the legend holds at most, the best ones."""
_LONGEST_NAME = 22


class Row(NamedTuple):
    """A line of the legend.

    Attributes:
        color: RGB, 0 to 255.
        name: Of the class, and how often a thing is there.
        value: Scores of things; the part of the image of stuff and void.
    """

    color: tuple[int, int, int]
    name: str
    value: str


def draw_picture(image: Pixels, panoptic: PanopticMap, categories: Categories, path: Path) -> None:
    """Write a picture of an image's segments, with a legend, as a PNG file.

    Args:
        image: (H, W, 3) RGB.
        panoptic: A map of its size.
        categories: Names and colors.
        path: Where to write; its folder must be there.
    """
    rows = list(legend(panoptic, categories))
    image, panoptic = _enlarged(image, panoptic)
    height, width = image.shape[:2]
    wide, high = max(width, THINNEST), max(height, THINNEST)
    total = (wide + LEGEND, max(high, ROW * (len(rows) + 1)))
    figure = Figure(figsize=(total[0] / DPI, total[1] / DPI), dpi=DPI)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 1 - high / total[1], wide / total[0], high / total[1]))
    axes.imshow(
        overlay(image, panoptic, categories),
        interpolation="nearest",
        aspect="auto",
    )
    axes.set_axis_off()
    name_segments(axes, panoptic, categories)
    beside = figure.add_axes((wide / total[0], 0, LEGEND / total[0], 1))
    _draw_legend(beside, rows, total[1])
    with whole(path) as partial:
        figure.savefig(partial, format="png", dpi=DPI, metadata={"Software": SOFTWARE})


def is_picture(path: Path) -> bool:
    """Return whether a file is a picture that `draw_picture` has written."""
    try:
        with Image.open(path) as image:
            return image.info.get("Software") == SOFTWARE
    except OSError:
        return False


def _enlarged(image: Pixels, panoptic: PanopticMap) -> tuple[Pixels, PanopticMap]:
    """Repeat the pixels of a small image, before its contours are drawn, which would hide much of it."""
    times = -(-SMALLEST // max(image.shape[:2]))
    if times == 1:
        return image, panoptic
    ids = panoptic.numpy().repeat(times, axis=0).repeat(times, axis=1)
    return image.repeat(times, axis=0).repeat(times, axis=1), PanopticMap(ids, panoptic.segments)


def legend(panoptic: PanopticMap, categories: Categories) -> Iterator[Row]:
    """Yield the classes of a map: things by their best score, then stuff by its size, then what is void."""
    pixels = panoptic.ids.shape[0] * panoptic.ids.shape[1]
    things: dict[int, list[float]] = {}
    areas: dict[int, float] = {}
    for segment in panoptic.segments:
        if categories[segment.category_id].isthing:
            things.setdefault(segment.category_id, []).append(segment.score or 0.0)
        else:
            areas[segment.category_id] = areas.get(segment.category_id, 0) + segment.area
    for identifier, scores in sorted(things.items(), key=lambda item: -max(item[1])):
        name, best = _short(categories[identifier].name), sorted(scores, reverse=True)
        shown = " ".join(f"{score:.2f}" for score in best[:SCORES]) + (" ..." if len(best) > SCORES else "")
        yield Row(categories[identifier].color, f"{name} x {len(best)}" if len(best) > 1 else name, shown)
    for identifier, area in sorted(areas.items(), key=lambda item: -item[1]):
        yield Row(categories[identifier].color, _short(categories[identifier].name), part(area / pixels))
    void = np.count_nonzero(panoptic.numpy() == 0)
    if void:
        yield Row((255, 255, 255), "void", part(void / pixels))


def part(value: float) -> str:
    """Write a part of an image in percent; what is there is never 0%."""
    return "<1%" if 0 < value < 0.005 else f"{value:.0%}"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 3]}..."


def _draw_legend(axes: Axes, rows: list[Row], height: int) -> None:
    """Draw in pixels, from the upper left corner."""
    axes.set(xlim=(0, LEGEND), ylim=(height, 0))
    axes.set_axis_off()
    for place, row in enumerate(rows):
        middle = ROW * (place + 1)
        color = tuple(value / 255 for value in row.color)
        axes.add_patch(Rectangle((12, middle - 7), 14, 14, facecolor=color, edgecolor="0.4", linewidth=0.8))
        axes.text(34, middle, row.name, va="center", fontsize=8, parse_math=False)
        axes.text(LEGEND - 10, middle, row.value, va="center", ha="right", fontsize=8, color="0.3")
