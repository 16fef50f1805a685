"""Reader of data sets in the COCO panoptic format (images, PNGs, JSON)."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.coco.annotations import Annotations, ImageIds, read_annotations
from autopanoptic.panoptic.data.coco.images import ORIENTATIONS, Orientation, StoredImage, read_stored
from autopanoptic.panoptic.data.coco.panoptic_png import CodedIds, read_coded_ids, read_ids
from autopanoptic.panoptic.data.image_id import ImageId
from autopanoptic.panoptic.data.label_map import LabelMap, number_type
from autopanoptic.panoptic.data.problems import DatasetError
from autopanoptic.panoptic.data.segments import MAX_ID, PanopticMap, Segment

ScalarT = TypeVar("ScalarT", bound=np.generic)
Numbers: TypeAlias = "npt.NDArray[np.integer[Any]]"
"""(H, W) places of segments from 1 on, 0 for void, in as few bytes as they take."""


@dataclass(frozen=True)
class Sample:
    """One image with its annotation; H and W are its size.

    Attributes:
        image: (3, H, W) uint8, RGB, the channels of a pixel side by side in memory.
        truth: Its segments.
        image_id: The id in the JSON.
    """

    image: Tensor
    truth: LabelMap
    image_id: ImageId


class CocoPanoptic(Dataset[Sample]):
    """One split of a data set in the COCO panoptic format.

    The JSON and the presence of all files are checked on construction, the pixels when they are read (see
    `autopanoptic.panoptic.data.coco.checks.check` for checking all of them up front).

    Args:
        images: Folder of the images.
        segmentations: Folder of the PNGs, id = R + 256 G + 256^2 B.
        annotations: The JSON.
        orientation: Whether the PNGs and the JSON's sizes are those of images turned by their EXIF orientation
            (``"apply"``: so viewers and most annotation tools show them) or of images as they are stored
            (``"ignore"``: so cv2's ``IMREAD_UNCHANGED`` and Pillow read them).

    Raises:
        FileNotFoundError: If the JSON or a folder is missing.
        DatasetError: With everything that is wrong in the JSON, and with the files that are missing.
        ValueError: If the orientation is another word.
    """

    def __init__(
        self,
        images: str | Path,
        segmentations: str | Path,
        annotations: str | Path,
        *,
        orientation: Orientation = "apply",
    ) -> None:
        if orientation not in ORIENTATIONS:
            raise ValueError(f"orientation={orientation!r} is none of {', '.join(map(repr, ORIENTATIONS))}")
        self.orientation = orientation
        self.images, self.segmentations = Path(images), Path(segmentations)
        self.source = str(annotations)
        self.annotations: Annotations = read_annotations(Path(annotations))
        problems = [
            *_missing(self.images, self.annotations.image_files, "image"),
            *_missing(self.segmentations, self.annotations.png_files, "PNG"),
        ]
        if problems:
            raise DatasetError(self.source, problems)

    @property
    def categories(self) -> Categories:
        """The categories of the data set."""
        return self.annotations.categories

    @property
    def image_ids(self) -> ImageIds:
        """(n,) ids of the images, int64 or text, in the order of the JSON."""
        return self.annotations.image_ids

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """(n, 2) height and width of each image in pixels, as the JSON states them and as `image` returns it."""
        return self.annotations.sizes

    def __len__(self) -> int:
        return len(self.annotations)

    def __getitem__(self, index: int) -> Sample:
        """Reads and decodes one image and its targets.

        Raises:
            IndexError: If there is no such index.
            FileNotFoundError: If a file has vanished since construction.
            ValueError: If a file is damaged, sizes differ, or the PNG's ids are not those of the JSON.
        """
        return Sample(self.pixels(index), self.label_map(index), self.image_ids[index].item())

    def pixels(self, index: int) -> Tensor:
        """Returns the image as a tensor, (3, H, W) as in `Sample`; raises as `__getitem__`."""
        return torch.from_numpy(self.image(index)).permute(2, 0, 1)

    def label_map(self, index: int) -> LabelMap:
        """Returns the annotation as networks learn it; raises as `__getitem__`."""
        numbers, problems = self.numbers(index)
        if problems:
            raise DatasetError(str(self.png_path(index)), problems)
        return LabelMap.of(numbers, self.annotations.segments(index), self.categories)

    def numbers(self, index: int) -> tuple[Numbers, list[str]]:
        """Returns the place of each pixel's segment in the JSON, and what is wrong with the ids; see `numbered`.

        Raises:
            FileNotFoundError: If the PNG has vanished since construction.
            ValueError: If it is damaged, or of another size.
        """
        return numbered(self.coded_ids(index), self.annotations.segments(index))

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        """Returns the (H, W, 3) RGB image; raises as `__getitem__`."""
        return self.oriented(index, self.stored_image(index))

    def stored_image(self, index: int) -> StoredImage:
        """Returns the image as its file holds it, of whatever size; raises as `__getitem__`."""
        return read_stored(self.image_path(index))

    def oriented(self, index: int, stored: StoredImage) -> npt.NDArray[np.uint8]:
        """Returns what `stored_image` has read as the data set's orientation wants it; raises as `image`."""
        pixels = stored.turned() if self.orientation == "apply" else stored.pixels
        other = stored.pixels if self.orientation == "apply" else stored.turned()
        hint = ""
        if pixels.shape != other.shape and self._has_size(index, other):
            wanted = "ignore" if self.orientation == "apply" else "apply"
            hint = f" (its EXIF orientation is {stored.orientation}: orientation={wanted!r} gives that size)"
        return self._require_size(self.image_path(index), index, pixels, hint)

    def coded_ids(self, index: int) -> CodedIds | npt.NDArray[np.uint32]:
        """Returns the (H, W) segment ids of the PNG, in bytes where they are few; raises as `numbers`."""
        path = self.png_path(index)
        ids: CodedIds | npt.NDArray[np.uint32] = read_coded_ids(path) or read_ids(path)
        self._require_size(path, index, ids.codes if isinstance(ids, CodedIds) else ids)
        return ids

    def ids(self, index: int) -> npt.NDArray[np.uint32]:
        """Returns the (H, W) segment ids of the PNG, 0 for void; raises as `numbers`."""
        ids = self.coded_ids(index)
        return ids.decoded() if isinstance(ids, CodedIds) else ids

    def truth(self, index: int) -> PanopticMap:
        """Returns the annotation for evaluation: ids as in the PNG, areas and crowds as in the JSON."""
        return PanopticMap(self.ids(index), self.annotations.segments(index))

    def image_path(self, index: int) -> Path:
        """Returns where image ``index`` lies."""
        return self.images / self.annotations.image_files[self._checked(index)]

    def png_path(self, index: int) -> Path:
        """Returns where the PNG of image ``index`` lies."""
        return self.segmentations / self.annotations.png_files[self._checked(index)]

    def subset(self, indices: Sequence[int]) -> CocoPanoptic:
        """Returns the data set of these images only, in this order, without reading the JSON again."""
        part = copy.copy(self)
        part.annotations = self.annotations.take([self._checked(i) for i in indices])
        return part

    def with_categories_of(self, other: CocoPanoptic) -> CocoPanoptic:
        """Returns this data set with the order, and so the labels, and the colours of another's categories.

        Raises:
            ValueError: If the categories differ otherwise; the message names the first that does.
        """
        return self.with_categories(other.categories, other.source)

    def with_categories(self, categories: Categories, source: str) -> CocoPanoptic:
        """Does as `with_categories_of`, for categories of which `source` says in a message where they are from."""
        difference = self.categories.difference(categories)
        if difference is not None:
            raise ValueError(f"{self.source} has other categories than {source}: {difference}")
        alike = copy.copy(self)
        alike.annotations = replace(self.annotations, categories=categories)
        return alike

    def _checked(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is outside 0..{len(self) - 1} of {self.source}")
        return index

    def _has_size(self, index: int, pixels: npt.NDArray[ScalarT]) -> bool:
        return pixels.shape[:2] == tuple(self.sizes[index].tolist())

    def _require_size(
        self, path: Path, index: int, pixels: npt.NDArray[ScalarT], hint: str = ""
    ) -> npt.NDArray[ScalarT]:
        if not self._has_size(index, pixels):
            (height, width), (told_height, told_width) = pixels.shape[:2], self.sizes[index]
            raise ValueError(
                f"{path}: is {width}x{height} pixels, but {self.source} says {told_width}x{told_height}{hint}"
            )
        return pixels


def compact_ids(ids: npt.NDArray[np.uint32], known: Sequence[int]) -> npt.NDArray[np.int32]:
    """Renumbers a map of segment ids by their position.

    Args:
        ids: Ids in 0..256^3 - 1, 0 for void, of any shape.
        known: The ids of the segments, each once.

    Returns:
        The same shape with k + 1 where the id is ``known[k]``, and 0 elsewhere.
    """
    # Neighbouring pixels mostly share an id, which makes a binary search faster than a table of 2^24 entries.
    values = np.array([*known, MAX_ID + 1], dtype=np.uint32)
    order = np.argsort(values).astype(np.int32)
    ranks = np.searchsorted(values[order], ids)
    return np.where(values[order][ranks] == ids, order[ranks] + 1, 0)


def numbered(ids: CodedIds | npt.NDArray[np.uint32], segments: Sequence[Segment]) -> tuple[Numbers, list[str]]:
    """Renumbers a map of segment ids by their position, in as few bytes as they take.

    Args:
        ids: The ids of (H, W) pixels, 0 for void.
        segments: Each id once.

    Returns:
        (H, W) with k + 1 for the pixels of segment k, and 0 elsewhere, as `LabelMap` has it; and which ids are
        in the map but not among the segments, and the reverse.
    """
    values = ids.ids if isinstance(ids, CodedIds) else ids
    compact = compact_ids(values, [segment.id for segment in segments])
    places: Numbers = compact.astype(number_type(len(segments)), copy=False)
    numbers = places[ids.codes] if isinstance(ids, CodedIds) else places
    return numbers, _id_problems(values, compact, segments)


def _id_problems(ids: npt.NDArray[np.uint32], compact: npt.NDArray[np.int32], segments: Sequence[Segment]) -> list[str]:
    """Says which ids are in the PNG but not in the JSON, and the reverse."""
    unknown = np.unique(ids[(compact == 0) & (ids != 0)])
    areas = np.bincount(compact.ravel(), minlength=len(segments) + 1)
    absent = [segment.id for segment, area in zip(segments, areas[1:], strict=True) if area == 0]
    return [
        *(f"the PNG holds id {i}, which the JSON does not have" for i in unknown),
        *(f"the JSON has segment {i}, which no pixel of the PNG holds" for i in absent),
    ]


def _missing(folder: Path, names: Iterable[str], kind: str) -> list[str]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder of {kind} files")
    # One listing is much faster than a question per file; names with sub-folders, and links, are asked one by one.
    with os.scandir(folder) as entries:
        present = {entry.name for entry in entries if not entry.is_symlink()}
    absent = (name for name in names if name not in present and not (folder / name).is_file())
    return [f"{kind} file {folder / name} is missing" for name in absent]
