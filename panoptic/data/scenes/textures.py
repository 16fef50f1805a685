"""Textures of the generated scenes' stuff: brightness patterns, independent of color.

Each function takes coordinates x and y (any equal shape, in pixels of an image of 96x96) and a generator, and
returns values in -1..1 of that shape. A glance at a few pixels does not tell stripes from bands, nor checker from
blocks.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]
Texture = Callable[[Plane, Plane, np.random.Generator], Plane]

FIELDS = (5.0, 7.0)
"""Side of the fields of checker and blocks."""


def stripes(x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    """Roughly horizontal stripes with a period of 4.5 to 6 pixels."""
    return _wave(_along(x, y, _upright(rng)), rng.uniform(4.5, 6), rng)


def bands(x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    """Stripes that fade and return with a period of 28 to 36 pixels: from near, they are stripes."""
    angle = _upright(rng)
    slow = _along(x, y, angle + np.pi / 2) * np.float32(2 * np.pi / rng.uniform(28, 36))
    envelope = 0.55 + 0.45 * np.sin(slow + np.float32(rng.uniform(0, 2 * np.pi)))
    faded: Plane = _wave(_along(x, y, angle), rng.uniform(4.5, 6), rng) * envelope
    return faded


def checker(x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    """A slightly rotated checkerboard with fields of 5 to 7 pixels."""
    columns, rows = _fields(x, y, rng)
    return np.where((columns + rows) % 2 == 0, np.float32(1), np.float32(-1))


def blocks(x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    """The fields of a checkerboard, each light or dark at random: the rule that is missing shows in many only."""
    columns, rows = _fields(x, y, rng)
    light = rng.random((64, 64)) < 0.5
    return np.where(light[rows % 64, columns % 64], np.float32(1), np.float32(-1))


def noise(x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    """Independent pixels."""
    return rng.uniform(-1, 1, x.shape).astype(np.float32)


def _fields(x: Plane, y: Plane, rng: np.random.Generator) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The column and row of each pixel's field on a slightly rotated board."""
    angle, side = rng.uniform(-0.3, 0.3), np.float32(rng.uniform(*FIELDS))
    shift = rng.uniform(0, 1, 2).astype(np.float32)
    columns = np.floor(_along(x, y, angle) / side + shift[0]).astype(np.int64)
    rows = np.floor(_along(x, y, angle + np.pi / 2) / side + shift[1]).astype(np.int64)
    return columns, rows


def _upright(rng: np.random.Generator) -> float:
    return float(np.pi / 2 + rng.uniform(-0.5, 0.5))


def _along(x: Plane, y: Plane, angle: float) -> Plane:
    return x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))


def _wave(distance: Plane, period: float, rng: np.random.Generator) -> Plane:
    phase = np.float32(rng.uniform(0, 1))
    position = distance / np.float32(period) + phase
    return np.where(position - np.floor(position) < 0.5, np.float32(1), np.float32(-1))
