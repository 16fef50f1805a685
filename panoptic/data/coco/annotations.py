"""The JSON of a COCO panoptic data set, as compact arrays."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.image_id import ImageId, faults_of_ids, is_image_id
from autopanoptic.panoptic.data.problems import DatasetError
from autopanoptic.panoptic.data.segments import MAX_ID, Segment

LONGEST_SIDE = 2**31 - 1
"""Of an image, in pixels: what readers of images can count."""
ImageIds: TypeAlias = "npt.NDArray[np.int64] | npt.NDArray[np.str_]"


@dataclass(frozen=True)
class Annotations:
    """Images and their segments; the segments of image i lie at ``offsets[i]:offsets[i + 1]``.

    Arrays instead of objects, because COCO's 1.3 million segments would otherwise cost gigabytes, once in
    every worker process.

    Attributes:
        categories: The categories of the data set.
        image_ids: (N,) int64, or (N,) of text.
        sizes: (N, 2) int64, height and width in pixels.
        image_files: N names of images, relative to their folder.
        png_files: N names of PNGs, relative to their folder.
        offsets: (N + 1,) int64.
        segment_ids: (M,) int64 in 1..256^3 - 1.
        category_ids: (M,) int64.
        areas: (M,) int64, in pixels, as the JSON states them.
        iscrowd: (M,) bool.
    """

    categories: Categories
    image_ids: ImageIds
    sizes: npt.NDArray[np.int64]
    image_files: tuple[str, ...]
    png_files: tuple[str, ...]
    offsets: npt.NDArray[np.int64]
    segment_ids: npt.NDArray[np.int64]
    category_ids: npt.NDArray[np.int64]
    areas: npt.NDArray[np.int64]
    iscrowd: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.image_ids)

    def segments(self, index: int) -> tuple[Segment, ...]:
        """Returns the segments of image ``index``, in the order of the JSON."""
        own = slice(self.offsets[index], self.offsets[index + 1])
        columns = (self.segment_ids[own], self.category_ids[own], self.areas[own], self.iscrowd[own])
        return tuple(Segment(*row) for row in zip(*(c.tolist() for c in columns), strict=True))

    def take(self, indices: Sequence[int]) -> Annotations:
        """Returns the annotations of these images, in this order."""
        chosen = np.asarray(indices, dtype=np.int64)
        counts = np.diff(self.offsets)[chosen]
        rows = _ranges(self.offsets[chosen], counts)
        return Annotations(
            categories=self.categories,
            image_ids=self.image_ids[chosen],
            sizes=self.sizes[chosen],
            image_files=tuple(self.image_files[i] for i in chosen),
            png_files=tuple(self.png_files[i] for i in chosen),
            offsets=np.concatenate([[0], np.cumsum(counts)]),
            segment_ids=self.segment_ids[rows],
            category_ids=self.category_ids[rows],
            areas=self.areas[rows],
            iscrowd=self.iscrowd[rows],
        )


def _ranges(starts: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Concatenates ``range(start, start + count)`` over all pairs."""
    ends = np.cumsum(counts)
    shifts: npt.NDArray[np.int64] = np.repeat(starts - (ends - counts), counts)
    return shifts + np.arange(len(shifts))


def read_annotations(path: Path) -> Annotations:
    """Reads a COCO panoptic JSON and checks that it is consistent in itself.

    Images come in the order of the JSON's ``images``. A segment without ``iscrowd`` is not a crowd.

    Raises:
        FileNotFoundError: If there is no such file.
        DatasetError: With everything that is wrong: missing keys, duplicated ids (categories, images,
            annotations, segments of one image), image ids that are integers and text mixed, unknown
            categories, images without annotation and the reverse.
    """
    content = _load(path)
    problems: list[str] = []
    categories = _categories(content["categories"], problems)
    images = _by_key(content["images"], "id", "image", ("file_name", "height", "width"), problems)
    annotations = _by_key(
        content["annotations"], "image_id", "annotation of image", ("file_name", "segments_info"), problems
    )
    _check_pairing(images, annotations, problems)
    problems += faults_of_ids(images)
    for entry in images.values():
        _check_image(entry, problems)
    for image_id, entry in annotations.items():
        _check_segments(image_id, entry["segments_info"], categories, problems)
    if not images:
        problems.append("there are no images")
    if problems or categories is None:
        raise DatasetError(str(path), problems)
    return _pack(categories, images, annotations)


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such annotation file") from None
    except ValueError as error:
        raise DatasetError(str(path), [f"not valid JSON: {error}"]) from error
    if not isinstance(content, dict):
        raise DatasetError(str(path), [f"a COCO panoptic JSON is an object, not a {type(content).__name__}"])
    wrong = [k for k in ("images", "annotations", "categories") if not isinstance(content.get(k), list)]
    if wrong:
        raise DatasetError(str(path), [f"the key {key!r} is missing or not a list" for key in wrong])
    return content


def _categories(entries: list[Any], problems: list[str]) -> Categories | None:
    try:
        return Categories.from_json(entries)
    except ValueError as error:
        problems.append(str(error))
        return None


def _by_key(
    entries: list[Any], key: str, what: str, needed: tuple[str, ...], problems: list[str]
) -> dict[ImageId, Mapping[str, Any]]:
    """Indexes the well-formed entries by their image's id, and reports the others."""
    found: dict[ImageId, Mapping[str, Any]] = {}
    for position, entry in enumerate(entries):
        missing = [k for k in (key, *needed) if not isinstance(entry, dict) or k not in entry]
        if missing:
            problems.append(f"{what} at position {position} of its list lacks {', '.join(missing)}")
        elif not is_image_id(entry[key]):
            problems.append(f"{what} {entry[key]!r}: the id is neither an integer nor text")
        elif not isinstance(entry["file_name"], str):
            problems.append(f"{what} {entry[key]!r}: file_name {entry['file_name']!r} is not a string")
        elif entry[key] in found:
            problems.append(f"{what} {entry[key]!r} occurs more than once")
        else:
            found[entry[key]] = entry
    return found


def _check_pairing(
    images: Mapping[ImageId, Mapping[str, Any]], annotations: Mapping[ImageId, Mapping[str, Any]], problems: list[str]
) -> None:
    bare, lost = (_sorted(images.keys() - annotations), _sorted(annotations.keys() - images))
    problems += [f"image {i!r} ({images[i]['file_name']}) has no annotation" for i in bare]
    problems += [f"annotation of image {i!r}: there is no such image" for i in lost]
    for kind, entries in (("image", images), ("PNG", annotations)):
        shared = _repeated(entry["file_name"] for entry in entries.values())
        problems += [f"{kind} file {name!r} is used by more than one image" for name in shared]


def _sorted(ids: Iterable[ImageId]) -> list[ImageId]:
    """Integers, then text."""
    return sorted(ids, key=lambda i: (1, 0, i) if isinstance(i, str) else (0, i, ""))


def _check_image(entry: Mapping[str, Any], problems: list[str]) -> None:
    for side in ("height", "width"):
        if not _is_int(entry[side]) or not 0 < entry[side] <= LONGEST_SIDE:
            problems.append(
                f"image {entry['id']!r}: {side} {entry[side]!r} is not a positive integer of at most {LONGEST_SIDE}"
            )


def _check_segments(image_id: ImageId, segments: Any, categories: Categories | None, problems: list[str]) -> None:
    if not isinstance(segments, list) or not all(isinstance(s, dict) for s in segments):
        problems.append(f"annotation of image {image_id!r}: segments_info is not a list of objects")
        return
    repeated = _repeated(s["id"] for s in segments if _is_int(s.get("id")))
    problems += [f"image {image_id!r}: segment {i} occurs more than once" for i in repeated]
    for segment in segments:
        fault = _fault(segment, categories)
        if fault:
            problems.append(f"image {image_id!r}, segment {segment.get('id')}: {fault}")


def _fault(segment: Mapping[str, Any], categories: Categories | None) -> str | None:
    missing = [key for key in ("id", "category_id", "area") if key not in segment]
    if missing:
        return f"lacks {', '.join(missing)}"
    if not _is_int(segment["id"]) or not 0 < segment["id"] <= MAX_ID:
        return f"the id is not an integer in 1..{MAX_ID} (0 is void)"
    category = segment["category_id"]
    if not _is_int(category) or (categories is not None and category not in categories):
        return f"unknown category {category!r}"
    area = segment["area"]
    if not (_is_int(area) or (isinstance(area, float) and area.is_integer())) or not 0 < area <= LONGEST_SIDE**2:
        return f"area {area!r} is not a positive whole number of pixels"
    if not is_crowd_flag(segment.get("iscrowd", 0)):
        return f"iscrowd {segment['iscrowd']!r} is neither 0 nor 1"
    return None


def is_crowd_flag(value: object) -> bool:
    """Whether a segment's ``iscrowd`` says whether it is a crowd: 0 or 1, or what JSON calls false and true."""
    return isinstance(value, (int, float)) and value in (0, 1)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _repeated(values: Iterable[Hashable]) -> list[Hashable]:
    return [value for value, count in Counter(values).items() if count > 1]


def _ids(ids: Sequence[ImageId]) -> ImageIds:
    return np.array(ids, dtype=np.str_) if isinstance(ids[0], str) else np.array(ids, dtype=np.int64)


def _pack(
    categories: Categories,
    images: Mapping[ImageId, Mapping[str, Any]],
    annotations: Mapping[ImageId, Mapping[str, Any]],
) -> Annotations:
    per_image = [annotations[i]["segments_info"] for i in images]
    segments = [segment for own in per_image for segment in own]

    def column(key: str) -> npt.NDArray[np.int64]:
        return np.array([segment[key] for segment in segments], dtype=np.int64)

    return Annotations(
        categories=categories,
        image_ids=_ids(list(images)),
        sizes=np.array([(e["height"], e["width"]) for e in images.values()], dtype=np.int64).reshape(-1, 2),
        image_files=tuple(e["file_name"] for e in images.values()),
        png_files=tuple(annotations[i]["file_name"] for i in images),
        offsets=np.cumsum([0, *map(len, per_image)], dtype=np.int64),
        segment_ids=column("id"),
        category_ids=column("category_id"),
        areas=column("area"),
        iscrowd=np.array([segment.get("iscrowd", 0) for segment in segments], dtype=bool),
    )
