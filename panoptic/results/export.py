"""Panoptic maps as files: a folder of PNGs whose colors are ids, and a JSON, in the COCO panoptic format."""

from __future__ import annotations

import json
import operator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from autopanoptic.nas.storage.files import whole
from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.image_id import ImageId, image_id_of
from autopanoptic.panoptic.data.segments import PanopticMap, Segment, id_to_rgb

if TYPE_CHECKING:
    import torch


class PanopticWriter:
    """Writes maps in the COCO panoptic format, which panopticapi, detectron2 and our own reader read.

    PNGs are written at once, the JSON at the end of the ``with`` block; not after an exception, so that
    there is no JSON of a part of the images. Whatever the JSON cannot hold is refused when it is added.

    Args:
        json_file: Where the JSON goes.
        folder: Where the PNGs go; created when missing.
        categories: The data set's categories, which the JSON lists.

    Raises:
        ValueError: When the categories hold what JSON cannot.

    Example:
        >>> with PanopticWriter("val.json", "val", categories) as writer:
        ...     writer.add(142238, "000000142238.jpg", panoptic)
    """

    def __init__(self, json_file: str | Path, folder: str | Path, categories: Categories) -> None:
        self.json_file, self.folder, self.categories = Path(json_file), Path(folder), categories
        self._categories = _as_json(categories.to_json(), "the categories")
        self._images: dict[ImageId, str] = {}
        self._annotations: list[str] = []
        self._files: set[PurePosixPath] = set()
        self._pngs: set[str] = set()

    def add(self, image_id: ImageId | np.integer[Any] | torch.Tensor, image_file: str, panoptic: PanopticMap) -> None:
        """Writes one image's PNG and keeps its annotation for the JSON.

        Args:
            image_id: The image's id in the data set, an integer (Python's, numpy's or a tensor) or text.
            image_file: The image's file name, relative to its folder. The PNG is named after it, ``x.png`` for
                ``x.jpg``; if another image's PNG is already called that, ``x.jpg.png``.
            panoptic: The map; areas and boxes are measured, not taken from its segments.

        Raises:
            ValueError: When the image id or file is not new or leads out of the folder, ids do not fit
                into colors, a segment has no pixels or an unknown category, or pixels have no segment, or
                the id or a score is nothing that JSON holds.
        """
        image_id, file = image_id_of(image_id), PurePosixPath(image_file)
        if image_id in self._images or file in self._files:
            raise ValueError(f"image {image_id!r} ({image_file}) was written before; add every image once")
        if file.is_absolute() or ".." in file.parts or not file.name:
            raise ValueError(f"image file {image_file!r} must be relative to the images' folder, without '..'")
        name = self._free_name(file)
        ids = panoptic.numpy()
        height, width = panoptic.size
        what = f"image {image_id!r} ({image_file})"
        image = _as_json({"id": image_id, "file_name": image_file, "height": height, "width": width}, what)
        entries = _entries(panoptic, ids, self.categories)
        annotation = _as_json({"image_id": image_id, "file_name": name, "segments_info": entries}, what)
        if not self._images:
            self.json_file.unlink(missing_ok=True)  # an older one would be read with the pictures of this one
        _save(ids, self.folder / name)
        self._images[image_id] = image
        self._annotations.append(annotation)
        self._files.add(file)
        self._pngs.add(name.casefold())

    def _free_name(self, image_file: PurePosixPath) -> str:
        """The name of an image's PNG; names that differ in case only are one to some file systems."""
        name = image_file.with_suffix(".png")
        if str(name).casefold() in self._pngs:
            name = image_file.with_name(image_file.name + ".png")
        while str(name).casefold() in self._pngs:
            name = name.with_name(name.name + ".png")
        return str(name)

    def close(self) -> None:
        """Writes the JSON, which is either whole or not there."""
        images, annotations = ", ".join(self._images.values()), ", ".join(self._annotations)
        with whole(self.json_file) as partial:
            partial.write_text(
                f'{{"images": [{images}], "annotations": [{annotations}], "categories": {self._categories}}}'
            )

    def __enter__(self) -> PanopticWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()


def _as_json(value: object, what: str) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what}: the JSON cannot hold it ({error})") from error


def _save(ids: NDArray[np.integer[Any]], path: Path) -> None:
    with whole(path) as partial:
        Image.fromarray(id_to_rgb(ids)).save(partial, format="PNG")


def _entries(panoptic: PanopticMap, ids: NDArray[np.integer[Any]], categories: Categories) -> list[dict[str, Any]]:
    """The segments_info of one image."""
    values, compact = np.unique(ids, return_inverse=True)
    areas = np.bincount(compact.ravel())
    boxes = ndimage.find_objects(compact.reshape(ids.shape) + 1)
    place = {int(value): position for position, value in enumerate(values)}
    segments = [_plain(segment) for segment in panoptic.segments]
    stray = sorted(place.keys() - {0, *(segment.id for segment in segments)})
    if stray:
        raise ValueError(f"the map has pixels of id {stray[0]} but no such segment; list every id but 0")
    entries = []
    for segment in segments:
        if segment.id not in place:
            raise ValueError(f"segment {segment.id} has no pixels; leave it out")
        rows, columns = boxes[place[segment.id]]
        entries.append(
            {
                "id": segment.id,
                "category_id": operator.index(categories[segment.category_id].id),
                "area": int(areas[place[segment.id]]),
                "bbox": [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start],
                "iscrowd": int(segment.iscrowd),
            }
            | ({} if segment.score is None else {"score": float(segment.score)})
        )
    return entries


def _plain(segment: Segment) -> Segment:
    """The segment with Python's integers for numpy's and for tensors, which are not found by their value."""
    try:
        return replace(segment, id=operator.index(segment.id), category_id=operator.index(segment.category_id))
    except TypeError:
        raise ValueError(f"{segment}: id and category_id must be integers") from None
