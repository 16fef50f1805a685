"""Pictures of panoptic maps: colored segments with contours and names over the image."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from scipy import ndimage

from autopanoptic.nas.storage.files import whole
from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.segments import PanopticMap, Segment

Pixels = npt.NDArray[np.uint8]

VARIATION = 60
"""Largest change of a color channel between instances of one category."""
LEAST_LABELLED = 0.004
"""Part of the image that a segment must cover to be named in a figure."""


def overlay(
    image: Pixels, panoptic: PanopticMap, categories: Categories, alpha: float = 0.6, contours: bool = True
) -> Pixels:
    """Blends the colors of segments into an image.

    Stuff has its category's color; the instances of a thing vary it, by their order in the map. Void keeps the
    image. The same input gives the same picture.

    Args:
        image: (H, W, 3), RGB.
        panoptic: A map of the same size.
        categories: Where the colors come from.
        alpha: Weight of the color, 0 (image only) to 1 (color only).
        contours: Whether to draw white lines around segments.

    Raises:
        ValueError: If the sizes differ, alpha is out of range, a category is unknown, or the map holds an id
            that is not among its segments.
    """
    ids = panoptic.numpy()
    if image.shape != (*ids.shape, 3) or image.dtype != np.uint8:
        raise ValueError(
            f"the image is {image.shape} of {image.dtype}, but a map of {ids.shape} needs {(*ids.shape, 3)} of uint8"
        )
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha={alpha}: a weight in 0..1 is needed")
    values, compact = np.unique(ids, return_inverse=True)
    compact = compact.reshape(ids.shape)
    colors = _colors(panoptic, categories)
    unknown = [value for value in values.tolist() if value and value not in colors]
    if unknown:
        raise ValueError(f"the map holds ids {unknown[:5]} that are not among its segments")
    table = np.array([colors.get(value, (0.0, 0.0, 0.0)) for value in values.tolist()])
    weight = np.where(values == 0, 0.0, alpha)[compact][:, :, None]
    blended = image * (1 - weight) + table[compact] * weight
    if contours:
        blended[_edges(compact)] = 255
    pixels: Pixels = np.rint(blended).astype(np.uint8)
    return pixels


def side_by_side(
    image: Pixels,
    truth: PanopticMap,
    prediction: PanopticMap,
    categories: Categories,
    path: str | Path,
    title: str = "",
) -> None:
    """Writes image, truth and prediction beside each other, with the names of the larger segments.

    Args:
        image: (H, W, 3), RGB.
        truth: A map of the same size.
        prediction: Another.
        categories: Names and colors.
        path: Where to write the PNG; its folder is made.
        title: A line above the pictures.

    Raises:
        ValueError: As `overlay`.
    """
    height, width = image.shape[:2]
    panel = 6.0
    figure = Figure(figsize=(3 * panel, panel * height / width + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 3)
    _show(axes[0], image, "image")
    for place, panoptic, name in ((axes[1], truth, "truth"), (axes[2], prediction, "prediction")):
        _show(place, overlay(image, panoptic, categories), f"{name}: {len(panoptic.segments)} segments")
        name_segments(place, panoptic, categories)
    if title:
        figure.suptitle(title)
    with whole(path) as partial:
        figure.savefig(partial, format="png", dpi=80)


def name_segments(axes: Axes, panoptic: PanopticMap, categories: Categories) -> None:
    """Writes into each segment that is large enough its name, and its score where it has one.

    Args:
        axes: Where an image of the map's size is shown.
        panoptic: The map.
        categories: Names.
    """
    ids = panoptic.numpy()
    for segment in panoptic.segments:
        mask = ids == segment.id
        if np.count_nonzero(mask) < LEAST_LABELLED * mask.size:
            continue
        row, column = _innermost(mask)
        axes.text(
            column,
            row,
            _label(segment, categories),
            color="white",
            fontsize=9,
            ha=_alignment(column, mask.shape[1]),
            va="center",
            clip_on=True,
            parse_math=False,  # a name may hold dollars
            path_effects=[withStroke(linewidth=2, foreground="black")],
        )


def _colors(panoptic: PanopticMap, categories: Categories) -> dict[int, tuple[float, ...]]:
    """Returns a color for every segment id."""
    seen: dict[int, int] = {}
    colors: dict[int, tuple[float, ...]] = {}
    for segment in panoptic.segments:
        category = categories[segment.category_id]
        order = seen.get(category.id, 0)
        seen[category.id] = order + 1
        # The first instance has the category's own color, as stuff has.
        rng = np.random.default_rng([category.id, order])
        shift = rng.uniform(-VARIATION, VARIATION, 3) if category.isthing and order else np.zeros(3)
        colors[segment.id] = tuple(np.clip(category.color + shift, 0, 255).tolist())
    return colors


def _edges(compact: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Returns the pixels whose right or lower neighbour belongs to another segment."""
    edges = np.zeros(compact.shape, dtype=bool)
    edges[:, :-1] |= compact[:, :-1] != compact[:, 1:]
    edges[:-1] |= compact[:-1] != compact[1:]
    return edges


def _show(axes: Axes, pixels: Pixels, title: str) -> None:
    small = max(pixels.shape[:2]) < 300
    axes.imshow(pixels, interpolation="nearest" if small else "antialiased")
    axes.set_title(title)
    axes.set_axis_off()


def _alignment(column: int, width: int) -> Literal["left", "center", "right"]:
    """Keeps names that start near a side inside the picture."""
    if column < width / 8:
        return "left"
    return "right" if column > width * 7 / 8 else "center"


def _label(segment: Segment, categories: Categories) -> str:
    name = categories[segment.category_id].name
    crowd = " (crowd)" if segment.iscrowd else ""
    score = "" if segment.score is None else f" {segment.score:.2f}"
    return f"{name}{crowd}{score}"


def _innermost(mask: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Returns the row and column of the pixel that is farthest from the mask's outline."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(np.argmax(depth)), mask.shape)
    return int(row), int(column)
