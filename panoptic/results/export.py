"""Panoptic maps as files: a folder of PNGs whose colors are ids, and a JSON, in the COCO panoptic format."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.segments import PanopticMap, id_to_rgb


class PanopticWriter:
    """Writes maps in the COCO panoptic format, which panopticapi, detectron2 and our own reader read.

    PNGs are written at once, the JSON at the end of the ``with`` block; not after an exception, so that
    there is no JSON of a part of the images.

    Args:
        json_file: Where the JSON goes.
        folder: Where the PNGs go; created when missing.
        categories: The data set's categories, which the JSON lists.

    Example:
        >>> with PanopticWriter("val.json", "val", categories) as writer:
        ...     writer.add(142238, "000000142238.jpg", panoptic)
    """

    def __init__(self, json_file: str | Path, folder: str | Path, categories: Categories) -> None:
        self.json_file, self.folder, self.categories = Path(json_file), Path(folder), categories
        self._images: dict[int, dict[str, Any]] = {}
        self._annotations: dict[str, dict[str, Any]] = {}

    def add(self, image_id: int, image_file: str, panoptic: PanopticMap) -> None:
        """Writes one image's PNG and keeps its annotation for the JSON.

        Args:
            image_id: The image's id in the data set.
            image_file: The image's file name, relative to its folder; the PNG is named after it.
            panoptic: The map; areas and boxes are measured, not taken from its segments.

        Raises:
            ValueError: When the image id or file is not new or leads out of the folder, ids do not fit
                into colors, a segment has no pixels or an unknown category, or pixels have no segment.
        """
        name = str(PurePosixPath(image_file).with_suffix(".png"))
        if image_id in self._images or name in self._annotations:
            raise ValueError(f"image {image_id} ({image_file}) was written before; add every image once")
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise ValueError(f"image file {image_file!r} must be relative to the images' folder, without '..'")
        ids = panoptic.numpy()
        entries = _entries(panoptic, ids, self.categories)
        _save(ids, self.folder / name)
        height, width = panoptic.size
        self._images[image_id] = {"id": image_id, "file_name": image_file, "height": height, "width": width}
        self._annotations[name] = {"image_id": image_id, "file_name": name, "segments_info": entries}

    def close(self) -> None:
        """Writes the JSON."""
        content = {
            "images": list(self._images.values()),
            "annotations": list(self._annotations.values()),
            "categories": self.categories.to_json(),
        }
        self.json_file.parent.mkdir(parents=True, exist_ok=True)
        self.json_file.write_text(json.dumps(content))

    def __enter__(self) -> PanopticWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()


def _save(ids: NDArray[np.integer[Any]], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(id_to_rgb(ids)).save(path)


def _entries(panoptic: PanopticMap, ids: NDArray[np.integer[Any]], categories: Categories) -> list[dict[str, Any]]:
    """The segments_info of one image."""
    values, compact = np.unique(ids, return_inverse=True)
    areas = np.bincount(compact.ravel())
    boxes = ndimage.find_objects(compact.reshape(ids.shape) + 1)
    place = {int(value): position for position, value in enumerate(values)}
    stray = sorted(place.keys() - {0, *(segment.id for segment in panoptic.segments)})
    if stray:
        raise ValueError(f"the map has pixels of id {stray[0]} but no such segment; list every id but 0")
    entries = []
    for segment in panoptic.segments:
        if segment.id not in place:
            raise ValueError(f"segment {segment.id} has no pixels; leave it out")
        rows, columns = boxes[place[segment.id]]
        entries.append(
            {
                "id": segment.id,
                "category_id": categories[segment.category_id].id,
                "area": int(areas[place[segment.id]]),
                "bbox": [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start],
                "iscrowd": int(segment.iscrowd),
            }
            | ({} if segment.score is None else {"score": segment.score})
        )
    return entries
