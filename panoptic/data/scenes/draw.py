"""Generated scenes: shaded, overlapping things on wavy regions of textured stuff.

Small networks learn them on a CPU in minutes, and their labels are exact. Stuff is told apart by texture only;
a thing's hue is a hint, its shape decides. The level ``varied`` adds what rewards operators other than small
convolutions: thin rotated parts (bar, cross), outlines that must be seen whole (ring and arc), a texture of long
period (bands), and a class that depends on the surroundings (lily and rose are the same flower, on noise and
elsewhere).
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from autopanoptic.panoptic.data.categories import Categories, Category
from autopanoptic.panoptic.data.scenes import shapes, textures
from autopanoptic.panoptic.data.scenes.shapes import Kind, Mask, Plane
from autopanoptic.panoptic.data.segments import MAX_ID, PanopticMap, Segment

REFERENCE_SIZE = 96
"""Image side, in pixels, for which lengths are given; other sizes scale them."""
HUE_SPREAD = 0.25
"""Largest distance of a thing's hue from its kind's mean; three kinds a third apart overlap."""
LEAST_VISIBLE = 0.33
"""Part of a thing that must be visible; what remains of others becomes void."""
LEAST_AREA = 24
"""Pixels (of an image of 96x96) that a segment must have; smaller ones become void."""

Texture = Callable[[Plane, Plane, np.random.Generator], Plane]


@dataclass(frozen=True)
class Level:
    """The kinds of things and stuff in the scenes of one difficulty, by name.

    Attributes:
        things: What things look like.
        stuff: What stuff looks like.
        context: Maps a thing's name to the texture and the name that it has on that texture instead.
    """

    things: dict[str, Kind]
    stuff: dict[str, Texture]
    context: dict[str, tuple[str, str]]

    @property
    def categories(self) -> Categories:
        """Things first, with ids from 1."""
        names = [*self.things, *(name for _, name in self.context.values())]
        things = [
            Category(k, name, True, _rgb((k - 1) / len(names), 0.8, 0.95)) for k, name in enumerate(names, start=1)
        ]
        stuff = [
            Category(len(names) + k, name, False, _rgb((k - 0.5) / len(self.stuff), 0.45, 0.75))
            for k, name in enumerate(self.stuff, start=1)
        ]
        return Categories([*things, *stuff])


@dataclass(frozen=True)
class Scene:
    """One generated image with its truth.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        truth: Ids (H, W) with 0 for void, and the segments with true areas.
    """

    image: npt.NDArray[np.uint8]
    truth: PanopticMap


_EASY_THINGS = {
    "circle": Kind(shapes.circle, (10, 19), 0.0),
    "square": Kind(shapes.square, (10, 19), 1 / 3, turn=0.3),
    "triangle": Kind(shapes.triangle, (10, 19), 2 / 3, turn=0.3),
}
_EASY_STUFF: dict[str, Texture] = {
    "stripes": textures.stripes,
    "checker": textures.checker,
    "noise": textures.noise,
}
LEVELS = {
    "easy": Level(_EASY_THINGS, _EASY_STUFF, {}),
    "varied": Level(
        {
            **_EASY_THINGS,
            "bar": Kind(shapes.bar, (14, 24), 1 / 6),
            "cross": Kind(shapes.cross, (12, 20), 1 / 2),
            "ring": Kind(shapes.ring, (10, 18), 0.0),
            "arc": Kind(shapes.arc, (10, 18), 0.0),
            "rose": Kind(shapes.flower, (9, 15), 5 / 6),
        },
        {**_EASY_STUFF, "bands": textures.bands},
        {"rose": ("noise", "lily")},
    ),
}


def level(difficulty: str) -> Level:
    """Returns a level by its name.

    Raises:
        ValueError: If there is no such level.
    """
    if difficulty not in LEVELS:
        raise ValueError(f"difficulty={difficulty!r} is unknown; choose one of {', '.join(LEVELS)}")
    return LEVELS[difficulty]


def draw_scene(rng: np.random.Generator, size: int = REFERENCE_SIZE, difficulty: str = "easy") -> Scene:
    """Draws one scene: 2 or 3 regions of different stuff, then 2 to 6 things over each other.

    Args:
        rng: All randomness comes from here.
        size: Image side in pixels, at least 32; lengths scale with it.
        difficulty: ``easy`` or ``varied``.

    Raises:
        ValueError: If the size is too small or the difficulty unknown.
    """
    if size < 32:
        raise ValueError(f"size={size}: scenes need at least 32 pixels a side for their shapes to be visible")
    return _Painter(rng, size, level(difficulty)).paint()


class _Painter:
    """The canvas of one scene; compact segment k + 1 has the name ``names[k]``."""

    def __init__(self, rng: np.random.Generator, size: int, level: Level) -> None:
        self.rng, self.level = rng, level
        self.x, self.y = _grid(size)
        self.canvas = np.empty((size, size, 3), dtype=np.float32)
        self.compact = np.zeros((size, size), dtype=np.uint8)
        self.names: list[str] = []
        self.drawn: list[int] = []
        self.least = LEAST_AREA * (size / REFERENCE_SIZE) ** 2

    def paint(self) -> Scene:
        self._paint_stuff()
        ground = self.compact.copy()
        for _ in range(self.rng.integers(2, 7)):
            self._paint_thing(ground)
        grain = self.rng.normal(0, 4, self.canvas.shape[:2]).astype(np.float32)
        image = np.clip(self.canvas + grain[:, :, None], 0, 255).astype(np.uint8)
        return Scene(image, self._truth())

    def _paint_stuff(self) -> None:
        count = int(self.rng.integers(2, 4))
        names = self.rng.permutation(list(self.level.stuff))[:count].tolist()
        regions = self._regions(count)
        for k, name in enumerate(names):
            inside = regions == k
            base = np.array(_rgb(*self.rng.uniform((0, 0.1, 0.35), (1, 0.4, 0.75))), np.float32)
            pattern = self.level.stuff[name](self.x[inside], self.y[inside], self.rng)
            self.canvas[inside] = base + np.float32(self.rng.uniform(36, 46)) * pattern[:, None]
            self._register(name, inside)

    def _regions(self, count: int) -> npt.NDArray[np.int64]:
        """Cuts the image along parallel wavy lines into regions 0..count - 1."""
        angle, phase = self.rng.uniform(0, 2 * np.pi, 2)
        across = self.x * np.float32(np.cos(angle)) + self.y * np.float32(np.sin(angle))
        along = self.y * np.float32(np.cos(angle)) - self.x * np.float32(np.sin(angle))
        wave = np.sin(along * np.float32(2 * np.pi / self.rng.uniform(35, 70)) + np.float32(phase))
        field = across + np.float32(self.rng.uniform(3, 7)) * wave
        low, high = field.min(), field.max()
        shares = (np.arange(1, count) + self.rng.uniform(-0.2, 0.2, count - 1)) / count
        regions: npt.NDArray[np.int64] = np.searchsorted(low + shares * (high - low), field)
        return regions

    def _paint_thing(self, ground: npt.NDArray[np.uint8]) -> None:
        name = str(self.rng.choice(list(self.level.things)))
        kind = self.level.things[name]
        u, v = self._local(kind)
        inside = kind.shape(u, v)
        if name in self.level.context:
            name = self._in_context(name, ground[inside])
        hue = kind.hue + self.rng.uniform(-HUE_SPREAD, HUE_SPREAD)
        color = np.array(_rgb(hue % 1, *self.rng.uniform((0.75, 0.75), (1, 1))), np.float32)
        light = self.rng.uniform(0, 2 * np.pi)
        shade = 0.75 + 0.25 * (u[inside] * np.float32(np.cos(light)) + v[inside] * np.float32(np.sin(light)))
        self.canvas[inside] = color * shade[:, None]
        self._register(name, inside)

    def _local(self, kind: Kind) -> tuple[Plane, Plane]:
        """Coordinates around a random centre, in units of a random radius and rotated at random."""
        radius, angle = self.rng.uniform(*kind.radius), self.rng.uniform(-kind.turn, kind.turn)
        margin = radius / 2
        x = self.x - np.float32(self.rng.uniform(margin, REFERENCE_SIZE - margin))
        y = self.y - np.float32(self.rng.uniform(margin, REFERENCE_SIZE - margin))
        cos, sin = np.float32(np.cos(angle) / radius), np.float32(np.sin(angle) / radius)
        return x * cos + y * sin, y * cos - x * sin

    def _in_context(self, name: str, below: npt.NDArray[np.uint8]) -> str:
        texture, other = self.level.context[name]
        main = int(np.bincount(below).argmax())
        return other if self.names[main - 1] == texture else name

    def _register(self, name: str, inside: Mask) -> None:
        self.names.append(name)
        self.drawn.append(int(np.count_nonzero(inside)))
        self.compact[inside] = len(self.names)

    def _truth(self) -> PanopticMap:
        areas = np.bincount(self.compact.ravel(), minlength=len(self.names) + 1)[1:]
        ids = self.rng.choice(MAX_ID, size=len(self.names), replace=False) + 1
        by_name = {category.name: category for category in self.level.categories}
        segments: list[Segment] = []
        table = np.zeros(len(self.names) + 1, dtype=np.uint32)
        for k, (name, area) in enumerate(zip(self.names, areas.tolist(), strict=True)):
            hidden = by_name[name].isthing and area < LEAST_VISIBLE * self.drawn[k]
            if area >= self.least and not hidden:
                table[k + 1] = ids[k]
                segments.append(Segment(int(ids[k]), by_name[name].id, area))
        return PanopticMap(table[self.compact], tuple(segments))


@lru_cache(maxsize=4)
def _grid(size: int) -> tuple[Plane, Plane]:
    """Pixel centres in units of a pixel of the reference size."""
    ticks = (np.arange(size, dtype=np.float32) + 0.5) * np.float32(REFERENCE_SIZE / size)
    x, y = np.meshgrid(ticks, ticks)
    return x, y


def _rgb(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)
