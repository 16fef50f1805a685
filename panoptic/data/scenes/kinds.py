"""What there is in the generated scenes: the kinds of things and of stuff, and their categories.

A thing's hue tells its family; which of the family it is, its shape, its details or its surroundings. Each kind
asks for something else of a network: sizes from 12 to 60 pixels for resolution and for a large receptive field; bar
and cross for kernels that follow thin, turned parts; ring and arc, checker and blocks for a view of the whole;
stripes and bands for one of more than a period of 32 pixels; square and die for detail; rose and lily, the same
flower on different stuff, for the surroundings; and all of them for channels.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from autopanoptic.panoptic.data.categories import Categories, Category
from autopanoptic.panoptic.data.scenes import shapes, textures
from autopanoptic.panoptic.data.scenes.shapes import Mask, Plane
from autopanoptic.panoptic.data.scenes.textures import Texture

Shape = Callable[[Plane, Plane], Mask]


@dataclass(frozen=True)
class Kind:
    """What a thing looks like.

    Attributes:
        shape: Maps coordinates in units of the radius to the pixels that belong to it.
        radius: Least and largest radius, in pixels of an image of 96x96; its logarithm is uniform in between.
        hue: Its family's mean hue in 0..1.
        turn: Largest rotation either way, in radians.
        marks: Maps the same coordinates to the pixels that are dark.
        share: How often it is drawn, beside the others' 1.
    """

    shape: Shape
    radius: tuple[float, float]
    hue: float
    turn: float = np.pi
    marks: Shape | None = None
    share: float = 1


THINGS = {
    "disc": Kind(shapes.disc, (6, 30), 0.0),
    "ring": Kind(shapes.ring, (10, 30), 0.0),
    "arc": Kind(shapes.arc, (10, 30), 0.0),
    "bar": Kind(shapes.bar, (14, 32), 0.2),
    "cross": Kind(shapes.cross, (12, 30), 0.2),
    "square": Kind(shapes.square, (7, 28), 0.4),
    "die": Kind(shapes.square, (10, 28), 0.4, marks=shapes.pips),
    "star": Kind(shapes.star, (9, 30), 0.6),
    "rose": Kind(shapes.flower, (9, 24), 0.8, share=2),
}
STUFF: dict[str, Texture] = {
    "stripes": textures.stripes,
    "bands": textures.bands,
    "checker": textures.checker,
    "blocks": textures.blocks,
    "noise": textures.noise,
}
CONTEXT = {"rose": ("lily", ("noise", "checker"))}
"""The name that a thing has instead where it lies on certain stuff."""


def rgb(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    """Returns a color of 0..255 from a hue, a saturation and a value in 0..1."""
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def _categories() -> Categories:
    names = [*THINGS, *(name for name, _ in CONTEXT.values())]
    things = [Category(k, name, True, rgb((k - 1) / len(names), 0.8, 0.95)) for k, name in enumerate(names, start=1)]
    stuff = [
        Category(len(names) + k, name, False, rgb((k - 0.5) / len(STUFF), 0.45, 0.75))
        for k, name in enumerate(STUFF, start=1)
    ]
    return Categories([*things, *stuff])


CATEGORIES = _categories()
"""Things first, with ids from 1, then stuff."""
