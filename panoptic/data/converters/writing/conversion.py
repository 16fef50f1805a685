"""What a converter says about one image: where it lies, and how its panoptic map is made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from autopanoptic.panoptic.data.image_id import ImageId

Ids: TypeAlias = "npt.NDArray[np.integer[Any]]"


@dataclass(frozen=True, eq=False)
class Converted:
    """The panoptic map of one image.

    Attributes:
        ids: (H, W) integers, each pixel's segment id; 0 is void.
        categories: The category of each id that the map holds, and perhaps of some that it does not.
        crowds: The ids that cover groups of things which are not told apart.
        remarks: What was left out or looks wrong, one sentence each.
    """

    ids: Ids
    categories: Mapping[int, int]
    crowds: Collection[int] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Conversion(ABC):
    """One image to be converted; sent to a worker process, so of plain values.

    Attributes:
        image_id: The id in the JSON.
        image_file: The image, relative to its split's folder of images, with forward slashes.
        png_file: The PNG to write, relative to its split's folder of PNGs, without folders.
    """

    image_id: ImageId
    image_file: str
    png_file: str

    @abstractmethod
    def convert(self) -> Converted:
        """Read the source and return the map.

        Raises:
            OSError: If a file cannot be read.
            ValueError: If the source is damaged or holds something unknown; the message names the file.
        """


def segments_info(converted: Converted) -> list[dict[str, Any]]:
    """Return the segments of a map as a COCO panoptic JSON lists them, in the order of their ids.

    Areas are counted; boxes are x, y, width, height in pixels.

    Raises:
        ValueError: If a pixel holds an id without a category.
    """
    values, codes, areas = np.unique(converted.ids, return_inverse=True, return_counts=True)
    unknown = sorted({int(v) for v in values} - {0, *converted.categories})
    if unknown:
        raise ValueError(f"the map holds the ids {unknown[:10]}, which have no category")
    boxes = ndimage.find_objects(codes.reshape(converted.ids.shape) + 1)
    return [
        {
            "id": value,
            "category_id": converted.categories[value],
            "area": area,
            "bbox": [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start],
            "iscrowd": int(value in converted.crowds),
        }
        for value, area, (rows, columns) in zip(values.tolist(), areas.tolist(), boxes, strict=True)
        if value != 0
    ]
