"""Users' own data: the choices that all its converters share, its categories, sizes and splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.coco.images import ORIENTATIONS, Orientation
from autopanoptic.panoptic.data.converters.masks import ORDERS, Order
from autopanoptic.panoptic.data.converters.writing.conversion import Conversion
from autopanoptic.panoptic.data.converters.writing.dataset import SplitSource
from autopanoptic.panoptic.data.converters.writing.sources import image_size
from autopanoptic.panoptic.data.image_id import ImageId

ConversionT = TypeVar("ConversionT", bound=Conversion)


@dataclass(frozen=True)
class OwnData:
    """How a user's own annotations become panoptic maps.

    Attributes:
        rest: The name of the stuff class of all pixels in no mask; None leaves them void. One that is annotated too
            is the same class.
        stuff: Names of annotated classes that are stuff, whose masks in an image are one segment.
        order: Which of two things that overlap lies on top: the smaller (``area``) or the later in the file (``file``).
        nas_val: Share of the images that are set aside for the search, between 0 and 1.
        val: Share of the images for the final figures, where these are not given.
        seed: Decides which.
        orientation: Whether sizes and masks are those of images turned by their EXIF orientation.
    """

    rest: str | None = "background"
    stuff: tuple[str, ...] = ()
    order: Order = "area"
    nas_val: float = 0.1
    val: float = 0.1
    seed: int = 0
    orientation: Orientation = "apply"

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise ValueError(f"order={self.order!r} is none of {', '.join(ORDERS)}")
        if self.orientation not in ORIENTATIONS:
            raise ValueError(f"orientation={self.orientation!r} is none of {', '.join(ORIENTATIONS)}")


def own_splits(
    drawn: Sequence[Conversion], images: Path, given: Sequence[Sequence[Conversion]], val_images: Path, own: OwnData
) -> list[SplitSource]:
    """Return the splits of a user's images: val where it is given, the rest drawn."""
    parts = draw_splits(drawn, own.nas_val, 0.0 if given else own.val, own.seed)
    if given:
        parts["val"] = list(given[0])
    folders = {"train": images, "nas_val": images, "val": val_images}
    return [SplitSource(name, folders[name], part) for name, part in parts.items()]


def settings_of(own: OwnData, *, given_val: bool) -> dict[str, Any]:
    """Return what a data set depends on, as a JSON object."""
    return {**asdict(own), "val": "given" if given_val else own.val}


def panoptic_categories(
    entries: Sequence[Mapping[str, Any]], own: OwnData, source: Path
) -> tuple[Categories, int | None]:
    """Return the categories with their kinds and the one of the rest, and the latter's id.

    Raises:
        ValueError: If a name of ``own.stuff`` is unknown, a name occurs twice, or there are no categories.
    """
    names = [entry["name"] for entry in entries]
    unknown = [name for name in own.stuff if name not in names]
    if unknown:
        raise ValueError(f"stuff={unknown}: {source} has the categories {', '.join(names)}")
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise ValueError(f"{source}: the category names {repeated} occur more than once; give every category its own")
    stuff = {*own.stuff, own.rest}
    made = [{"id": entry["id"], "name": entry["name"], "isthing": int(entry["name"] not in stuff)} for entry in entries]
    if own.rest is not None and own.rest not in names:
        made.append({"id": max((entry["id"] for entry in entries), default=0) + 1, "name": own.rest, "isthing": 0})
    categories = Categories.from_json(made)
    return categories, next((c.id for c in categories if c.name == own.rest), None)


def draw_splits(
    conversions: Sequence[ConversionT], nas_val: float, val: float, seed: int
) -> dict[str, list[ConversionT]]:
    """Draw train, nas_val and val; the draw depends on the seed and the image files, not on their order.

    Args:
        conversions: The images.
        nas_val: The share of the images for the search, between 0 and 1; at least one image.
        val: The share for the final figures; at least one image, or 0 for none, where val is given.
        seed: Decides the draw.

    Raises:
        ValueError: If the shares are out of range or there are too few images.
    """
    if not (0 < nas_val < 1 and 0 <= val < 1 and nas_val + val < 1):
        raise ValueError(f"nas_val={nas_val}, val={val}: shares of the images, which together leave some for train")
    by_name = sorted(conversions, key=lambda conversion: conversion.image_file)
    counts = {"nas_val": max(1, round(nas_val * len(by_name))), "val": max(1, round(val * len(by_name))) if val else 0}
    if len(by_name) <= sum(counts.values()):
        taken = " and ".join(f"{count} for {name}" for name, count in counts.items() if count)
        raise ValueError(f"there are {len(by_name)} images, of which {taken} would leave none for train")
    shuffled = [by_name[i] for i in np.random.default_rng(seed).permutation(len(by_name))]
    ends = np.cumsum([counts["nas_val"], counts["val"]])
    parts = {"train": shuffled[ends[1] :], "nas_val": shuffled[: ends[0]], "val": shuffled[ends[0] : ends[1]]}
    return {name: sorted(part, key=lambda conversion: conversion.image_file) for name, part in parts.items()}


def shared_files(paths: Iterable[Path]) -> list[Path]:
    """Return the files that occur more than once, though by other names or through links."""
    return [path for path, times in Counter(path.resolve() for path in paths).items() if times > 1]


def png_names(image_ids: Sequence[ImageId]) -> list[str]:
    """Return the names of the images' PNGs: their ids where all are natural numbers, else their positions."""
    numbers = [i for i in image_ids if isinstance(i, int) and i >= 0]
    return [png_name(i) for i in (numbers if len(numbers) == len(image_ids) else range(len(image_ids)))]


def png_name(number: int) -> str:
    """Return the name of a PNG as COCO numbers them."""
    return f"{number:012d}.png"


def require_size(path: Path, size: tuple[int, int], orientation: Orientation) -> None:
    """ValueError if an image is not of this height and width, saying if the other orientation gives it."""
    found = image_size(path, orientation)
    if found == size:
        return
    other: Orientation = "ignore" if orientation == "apply" else "apply"
    hint = f" With orientation={other!r} it is." if image_size(path, other) == size else ""
    raise ValueError(
        f"{path}: is {found[1]}x{found[0]} pixels, but its annotation is of {size[1]}x{size[0]}: was it resized "
        f"after it was annotated?{hint}"
    )
