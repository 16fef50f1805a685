"""Shapes of the generated scenes' things, as predicates on coordinates in units of a thing's radius."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

ARM = 0.18
"""Half the width of bars and of the arms of crosses, in units of the shape's radius."""
HOLE = 0.6
"""Inner radius of rings and arcs, in units of the outer one."""
GAP = 0.3
"""Part of a ring's circumference that an arc lacks."""
PIP = 0.2
"""Radius of a die's pips, in units of the shape's radius."""


def disc(u: Plane, v: Plane) -> Mask:
    """A disc of radius 1."""
    return u * u + v * v <= 1


def square(u: Plane, v: Plane) -> Mask:
    """A square of half-width 0.85."""
    return np.maximum(np.abs(u), np.abs(v)) <= 0.85


def bar(u: Plane, v: Plane) -> Mask:
    """A thin bar along u."""
    return (np.abs(u) <= 1) & (np.abs(v) <= ARM)


def cross(u: Plane, v: Plane) -> Mask:
    """Two thin bars at a right angle."""
    u, v = np.abs(u), np.abs(v)
    return (np.minimum(u, v) <= ARM) & (np.maximum(u, v) <= 1)


def ring(u: Plane, v: Plane) -> Mask:
    """A disc with a hole."""
    distance = u * u + v * v
    return (distance <= 1) & (distance >= HOLE**2)


def arc(u: Plane, v: Plane) -> Mask:
    """A ring with a gap: only the whole outline tells it from a ring."""
    return ring(u, v) & (np.abs(np.arctan2(v, u)) >= np.pi * GAP)


def flower(u: Plane, v: Plane) -> Mask:
    """Five petals."""
    inside: Mask = np.hypot(u, v) <= 0.75 + 0.25 * np.cos(5 * np.arctan2(v, u))
    return inside


def star(u: Plane, v: Plane) -> Mask:
    """A star of five points, its inner corners at half the radius."""
    distance, part = np.hypot(u, v), np.pi / 5
    angle = np.abs((np.arctan2(v, u) + part) % (2 * part) - part)
    # The edge from the point (1, 0) to the inner corner, as a line in polar coordinates.
    corner = 0.5 * np.exp(1j * part)
    normal = np.array([corner.imag, 1 - corner.real])
    inside: Mask = distance * (normal[0] * np.cos(angle) + normal[1] * np.sin(angle)) <= normal[0]
    return inside


def pips(u: Plane, v: Plane) -> Mask:
    """The five pips on a square."""
    u, v = np.abs(u), np.abs(v)
    outer = np.hypot(u - 0.48, v - 0.48)
    inside: Mask = np.minimum(outer, np.hypot(u, v)) <= PIP
    return inside
