"""The shapes of labelme's JSONs, and the pixels that they cover."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from autopanoptic.panoptic.data.coco.images import DECODING_ERRORS

POINTS: Mapping[str, tuple[int, int | None]] = {
    "polygon": (3, None),
    "rectangle": (2, 2),
    "oriented_rectangle": (4, 4),
    "circle": (2, 2),
    "mask": (2, 2),
}
"""The shapes that cover pixels, and how many points each has, at least and at most."""
LARGEST = 1e9
"""Coordinate of a point, in pixels."""


def fault_of(shape: object) -> str | None:
    """Say what is wrong with a shape; None if nothing is."""
    if not isinstance(shape, Mapping):
        return f"a shape is {shape!r:.60}, not an object"
    label, kind, points = shape.get("label"), shape.get("shape_type") or "polygon", shape.get("points")
    if not isinstance(label, str) or not label:
        return f"a shape has the label {label!r}, not a text"
    if not isinstance(kind, str) or kind not in POINTS:
        return f"a shape of {label!r} is a {kind}, which covers no pixels; draw {', '.join(POINTS)}, or delete it"
    least, most = POINTS[kind]
    if not isinstance(points, list) or not all(
        isinstance(p, list) and len(p) == 2 and all(isinstance(x, (int, float)) and abs(x) <= LARGEST for x in p)
        for p in points
    ):
        return f"a {kind} of {label!r} has points that are not pairs of finite numbers (up to {LARGEST:g})"
    if len(points) < least or (most is not None and len(points) > most):
        wanted = f"{least}" if most else f"at least {least}"
        return f"a {kind} of {label!r} has {len(points)} points; {wanted} are needed"
    if kind == "mask" and not isinstance(shape.get("mask"), str):
        return f"a mask of {label!r} has no `mask`"
    if not isinstance(shape.get("group_id"), (int, str, type(None))):
        return f"a {kind} of {label!r} has the group_id {shape['group_id']!r:.60}, neither a number nor text"
    return None


def draw(shape: Mapping[str, Any], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return the pixels of a shape, (H, W), as labelme's ``utils.shape_to_mask`` and ``shapes_to_label`` draw them.

    Raises:
        ValueError: If a mask is damaged or does not fit into the image.
    """
    points = [(float(x), float(y)) for x, y in shape["points"]]
    kind = shape.get("shape_type") or "polygon"
    if kind == "mask":
        return _placed(shape["mask"], points, size)
    image = Image.new("L", (size[1], size[0]))
    pen = ImageDraw.Draw(image)
    if kind == "circle":
        (x, y), edge = points
        radius = math.dist((x, y), edge)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=1, fill=1)
    elif kind == "rectangle":
        (left, right), (top, bottom) = (sorted(side) for side in zip(*points, strict=True))
        pen.rectangle((left, top, right, bottom), outline=1, fill=1)
    else:
        pen.polygon(points, outline=1, fill=1)
    return np.array(image, dtype=bool)


def _placed(encoded: str, points: Sequence[tuple[float, float]], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return a mask that is given as the PNG of its box, whose last row and column belong to it."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
            part = np.array(image).astype(bool)
    except DECODING_ERRORS as error:
        raise ValueError(f"cannot be decoded ({error})") from error
    (left, top), (right, bottom) = (tuple(int(x) for x in point) for point in points)
    mask = np.zeros(size, dtype=bool)
    inside = 0 <= top <= bottom < size[0] and 0 <= left <= right < size[1]
    if not inside or part.shape != (bottom - top + 1, right - left + 1):
        raise ValueError(f"of shape {part.shape} does not fit into its box {left, top, right, bottom} of the image")
    mask[top : bottom + 1, left : right + 1] = part
    return mask
