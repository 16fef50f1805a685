"""Generated scenes: shaded, overlapping things on wavy regions of textured stuff.

Small networks learn them on a CPU in minutes, and their labels are exact. Stuff is told apart by texture only; a
thing's hue tells its family, but not which of the family it is. See `autopanoptic.panoptic.data.scenes.kinds` for
what there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from autopanoptic.panoptic.data.scenes.kinds import CATEGORIES, CONTEXT, STUFF, THINGS, Kind, rgb
from autopanoptic.panoptic.data.scenes.shapes import Mask, Plane
from autopanoptic.panoptic.data.segments import MAX_ID, PanopticMap, Segment

REFERENCE_SIZE = 96
"""Image side, in pixels, for which lengths are given; other sizes scale them."""
COUNT = (3, 6)
"""Fewest and most things in a scene."""
HUE_SPREAD = 0.1
"""Largest distance of a thing's hue from its family's mean."""
LEAST_VISIBLE = 0.33
"""Part of a thing that must be visible; what remains of others becomes void."""
LEAST_AREA = 24
"""Pixels (of an image of 96x96) that a segment must have; smaller ones become void."""


@dataclass(frozen=True)
class Scene:
    """One generated image with its truth.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        truth: Ids (H, W) with 0 for void, and the segments with true areas.
    """

    image: npt.NDArray[np.uint8]
    truth: PanopticMap


def draw_scene(rng: np.random.Generator, size: int = REFERENCE_SIZE) -> Scene:
    """Draws one scene: 2 or 3 regions of different stuff, then 3 to 6 things over each other, large ones below.

    Args:
        rng: All randomness comes from here.
        size: Image side in pixels, at least 32; lengths scale with it.

    Raises:
        ValueError: If the size is too small.
    """
    if size < 32:
        raise ValueError(f"size={size}: scenes need at least 32 pixels a side for their shapes to be visible")
    return _Painter(rng, size).paint()


class _Painter:
    """The canvas of one scene; compact segment k + 1 has the name ``names[k]``."""

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self.rng = rng
        self.x, self.y = _grid(size)
        self.canvas = np.empty((size, size, 3), dtype=np.float32)
        self.compact = np.zeros((size, size), dtype=np.uint8)
        self.names: list[str] = []
        self.drawn: list[int] = []
        self.least = LEAST_AREA * (size / REFERENCE_SIZE) ** 2

    def paint(self) -> Scene:
        self._paint_stuff()
        ground = self.compact.copy()
        shares = np.array([kind.share for kind in THINGS.values()])
        count = self.rng.integers(COUNT[0], COUNT[1] + 1)
        names = self.rng.choice(list(THINGS), count, p=shares / shares.sum()).tolist()
        radii = [float(np.exp(self.rng.uniform(*np.log(THINGS[name].radius)))) for name in names]
        for k in np.argsort(radii)[::-1].tolist():
            self._paint_thing(names[k], radii[k], ground)
        grain = self.rng.normal(0, 4, self.canvas.shape[:2]).astype(np.float32)
        image = np.clip(self.canvas + grain[:, :, None], 0, 255).astype(np.uint8)
        return Scene(image, self._truth())

    def _paint_stuff(self) -> None:
        count = int(self.rng.integers(2, 4))
        names = self.rng.permutation(list(STUFF))[:count].tolist()
        regions = self._regions(count)
        for k, name in enumerate(names):
            inside = regions == k
            base = np.array(rgb(*self.rng.uniform((0, 0.1, 0.35), (1, 0.4, 0.75))), np.float32)
            pattern = STUFF[name](self.x[inside], self.y[inside], self.rng)
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

    def _paint_thing(self, name: str, radius: float, ground: npt.NDArray[np.uint8]) -> None:
        kind = THINGS[name]
        u, v = self._local(kind, radius)
        inside = kind.shape(u, v)
        u, v = u[inside], v[inside]
        if name in CONTEXT:
            name = self._in_context(name, ground[inside])
        hue = kind.hue + self.rng.uniform(-HUE_SPREAD, HUE_SPREAD)
        color = np.array(rgb(hue % 1, *self.rng.uniform((0.75, 0.75), (1, 1))), np.float32)
        light = self.rng.uniform(0, 2 * np.pi)
        shade = 0.75 + 0.25 * (u * np.float32(np.cos(light)) + v * np.float32(np.sin(light)))
        if kind.marks is not None:
            shade[kind.marks(u, v)] *= 0.3
        self.canvas[inside] = color * shade[:, None]
        self._register(name, inside)

    def _local(self, kind: Kind, radius: float) -> tuple[Plane, Plane]:
        """Coordinates around a random centre, in units of the radius and rotated at random."""
        angle = self.rng.uniform(-kind.turn, kind.turn)
        margin = radius / 2
        x = self.x - np.float32(self.rng.uniform(margin, REFERENCE_SIZE - margin))
        y = self.y - np.float32(self.rng.uniform(margin, REFERENCE_SIZE - margin))
        cos, sin = np.float32(np.cos(angle) / radius), np.float32(np.sin(angle) / radius)
        return x * cos + y * sin, y * cos - x * sin

    def _in_context(self, name: str, below: npt.NDArray[np.uint8]) -> str:
        other, stuff = CONTEXT[name]
        main = int(np.bincount(below).argmax())
        return other if self.names[main - 1] in stuff else name

    def _register(self, name: str, inside: Mask) -> None:
        self.names.append(name)
        self.drawn.append(int(np.count_nonzero(inside)))
        self.compact[inside] = len(self.names)

    def _truth(self) -> PanopticMap:
        areas = np.bincount(self.compact.ravel(), minlength=len(self.names) + 1)[1:]
        ids = self.rng.choice(MAX_ID, size=len(self.names), replace=False) + 1
        by_name = {category.name: category for category in CATEGORIES}
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
