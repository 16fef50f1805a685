"""Masks of COCO instance JSONs, and one panoptic map painted from those of an image, which may overlap."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from autopanoptic.panoptic.data.converters.writing.conversion import Converted

Rle: TypeAlias = "dict[str, Any]"
"""A mask as pycocotools holds it: size, height and width, and counts, compressed."""
Order: TypeAlias = Literal["area", "file"]
"""Which of two things that overlap lies on top: the smaller one, or the one that comes later in the file."""
ORDERS: tuple[Order, ...] = get_args(Order)
Kind: TypeAlias = Literal["stuff", "crowd", "thing", "void"]
_LAYERS: tuple[Kind, ...] = get_args(Kind)
_LEAST_COORDINATES = 6
FARTHEST = 10
"""Times the longer side of the image that a polygon may reach: pycocotools takes memory for all of its length."""


@dataclass(frozen=True)
class Region:
    """A mask and what it is of.

    Attributes:
        name: How remarks call it, such as "annotation 17".
        category: The category id; None for a region that is to be void.
        kind: ``stuff`` of one category becomes one segment, ``thing`` and ``crowd`` regions one each.
        rle: The mask.
    """

    name: str
    category: int | None
    kind: Kind
    rle: Rle


def rle_of(segmentation: object, height: int, width: int) -> Rle:
    """Return the mask of a ``segmentation`` of a COCO instance JSON: polygons, or RLE as counts or compressed.

    Raises:
        ValueError: If it is none of these, of another size than the image, or damaged.
    """
    if isinstance(segmentation, dict):
        return _checked_rle(segmentation, height, width)
    if not isinstance(segmentation, list) or not segmentation:
        raise ValueError(
            "has no mask (`segmentation` is empty); a box alone does not say which pixels are the object's"
        )
    polygons = [segmentation] if not isinstance(segmentation[0], list) else segmentation
    for polygon in polygons:
        _check_polygon(polygon, most=FARTHEST * max(height, width))
    merged: Rle = coco.merge(coco.frPyObjects(polygons, height, width))
    return merged


def rle_of_mask(mask: npt.NDArray[np.bool_]) -> Rle:
    """Return a mask, (H, W), as pycocotools holds it."""
    encoded: Rle = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return encoded


def mask_of(rle: Rle) -> npt.NDArray[np.bool_]:
    """Return the mask, (H, W), that pycocotools holds."""
    with warnings.catch_warnings():
        # pycocotools 2.0.11 hands its buffers over as numpy 1 did, about which numpy 2 warns.
        warnings.simplefilter("ignore", DeprecationWarning)
        decoded: npt.NDArray[np.uint8] = coco.decode(rle)
    return decoded.astype(bool)


def _check_polygon(polygon: Any, most: float) -> None:
    numbers = isinstance(polygon, list) and all(
        isinstance(x, (int, float)) and not isinstance(x, bool) and abs(x) < math.inf for x in polygon
    )
    if not numbers:
        raise ValueError("has a polygon that is not a list of finite numbers x1, y1, x2, y2, ...")
    if len(polygon) < _LEAST_COORDINATES or len(polygon) % 2:
        raise ValueError(f"has a polygon of {len(polygon)} numbers; at least 3 points, x and y each, are needed")
    if max(map(abs, polygon)) > most:
        raise ValueError(f"has a polygon with a coordinate beyond {most:g}, far outside of the image")


def _checked_rle(segmentation: dict[str, Any], height: int, width: int) -> Rle:
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != [height, width]:
        raise ValueError(f"has an RLE of height and width {size}, but the image has [{height}, {width}]")
    if isinstance(counts, list):
        runs = all(isinstance(n, int) and n >= 0 for n in counts)
        if not runs or sum(counts) != height * width:
            raise ValueError(f"has an RLE whose counts do not add up to the {height * width} pixels of the image")
        uncompressed: Rle = coco.frPyObjects({"size": size, "counts": counts}, height, width)
        return uncompressed
    if not isinstance(counts, (str, bytes)):
        raise ValueError(f"has an RLE whose counts are {type(counts).__name__}, not a list or text")
    rle = {"size": size, "counts": counts.encode("ascii", "replace") if isinstance(counts, str) else counts}
    if _pixels(rle["counts"]) != height * width:
        raise ValueError(f"has a compressed RLE that does not cover the {height * width} pixels of the image")
    return rle


def _pixels(counts: bytes) -> int:
    """Return how many pixels a compressed RLE covers, or -1 if it is damaged; pycocotools would write past its end.

    Five bits a character, from the lowest, bit 6 says that more follow; from the third run on a run is the
    difference to the one before the last (pycocotools' maskApi.c, rleFrString).
    """
    runs: list[int] = []
    value, shift = 0, 0
    for character in counts:
        code = character - 48
        if not 0 <= code < 64:
            return -1
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            if code & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value, shift = 0, 0
    return sum(runs) if shift == 0 and all(run >= 0 for run in runs) else -1


def paint(regions: Sequence[Region], size: tuple[int, int], rest: int | None, order: Order = "area") -> Converted:
    """Paint masks over each other into one map.

    From the bottom: the rest, stuff, crowds, things, void. Within one kind the larger mask lies below the smaller one
    (of two of one size the earlier), or with ``order="file"`` the earlier one below the later. A mask without a
    visible pixel is left out and remarked.

    Args:
        regions: In the order of their file.
        size: Height and width in pixels.
        rest: The stuff category of pixels in no region; None for void.
        order: Which lies on top.
    """
    if order not in ORDERS:
        raise ValueError(f"order={order!r} is none of {', '.join(ORDERS)}")
    ids = np.zeros(size, dtype=np.int64)
    numbers, categories, owners = _numbered(regions, rest)
    if rest is not None:
        ids[:] = next(number for number, category in categories.items() if category == rest and number not in owners)
    # Not Python's sort of masks: one is decoded at a time, for an image may have hundreds.
    for position in sorted(range(len(regions)), key=lambda i: _depth(regions[i], order)):
        ids[mask_of(regions[position].rle)] = numbers[position]
    visible = set(np.unique(ids).tolist())
    hidden = [owners[number].name for number in owners if number not in visible]
    return Converted(
        ids,
        {number: category for number, category in categories.items() if number in visible},
        [number for number, region in owners.items() if region.kind == "crowd" and number in visible],
        tuple(f"{name} has no visible pixel and is left out" for name in hidden),
    )


def _depth(region: Region, order: Order) -> tuple[int, int]:
    return _LAYERS.index(region.kind), -int(coco.area(region.rle)) if order == "area" else 0


def _numbered(regions: Sequence[Region], rest: int | None) -> tuple[list[int], dict[int, int], dict[int, Region]]:
    """Return each region's segment id, the ids' categories, and whose the ids of things and crowds are."""
    free = count(1)
    categories: dict[int, int] = {}
    owners: dict[int, Region] = {}
    stuff: dict[int, int] = {}
    numbers = []
    for region in regions:
        if region.category is None:
            numbers.append(0)
            continue
        number = stuff.get(region.category) if region.kind == "stuff" else None
        if number is None:
            number = next(free)
            categories[number] = region.category
            if region.kind == "stuff":
                stuff[region.category] = number
            else:
                owners[number] = region
        numbers.append(number)
    if rest is not None and rest not in stuff:
        categories[next(free)] = rest
    return numbers, categories, owners
