"""Panoptic quality of files in the COCO panoptic format, as panopticapi's command line measures it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.coco.annotations import is_crowd_flag
from autopanoptic.panoptic.data.coco.panoptic_png import CodedIds, read_coded_ids, read_ids
from autopanoptic.panoptic.data.image_id import ImageId, is_image_id
from autopanoptic.panoptic.data.segments import PanopticMap, Segment
from autopanoptic.panoptic.quality.metric import PanopticQuality
from autopanoptic.panoptic.quality.summary import QualityReport


def evaluate_folders(
    truth_json: str | Path,
    truth_pngs: str | Path,
    prediction_json: str | Path,
    prediction_pngs: str | Path,
    categories: Categories | None = None,
    *,
    check_truth: bool = True,
    workers: int = 1,
) -> QualityReport:
    """Measures predictions on disk.

    Every image of the truth needs a prediction; predictions for other images are ignored. Image ids that
    occur twice in a file are refused, where panopticapi takes the last prediction.

    Args:
        truth_json: The annotations.
        truth_pngs: The folder of their PNGs.
        prediction_json: The predictions; their segments need no area and no iscrowd.
        prediction_pngs: The folder of their PNGs.
        categories: The categories; those that truth_json lists when None.
        check_truth: As in `PanopticQuality`.
        workers: Threads that read and measure at a time.

    Raises:
        FileNotFoundError: When a file is missing.
        ValueError: When a file is damaged or not in the format, an image has no prediction, or
            `PanopticQuality.update` refuses an image; the message names the file or the image.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    truth, prediction = _load(Path(truth_json)), _load(Path(prediction_json))
    if categories is None:
        categories = Categories.from_json(_list(truth, "categories", truth_json))
    truths, predictions = _by_image(truth, truth_json), _by_image(prediction, prediction_json)
    absent = [image_id for image_id in truths if image_id not in predictions]
    if absent:
        raise ValueError(
            f"{prediction_json}: no prediction for {len(absent)} of {len(truths)} images, as {absent[0]!r}"
        )
    pairs = [(truths[image_id], predictions[image_id]) for image_id in truths]
    measure = partial(_measure, (Path(truth_pngs), Path(prediction_pngs)), categories, check_truth)
    total = PanopticQuality(categories, check_truth=check_truth)
    with ThreadPoolExecutor(workers) as pool:
        # One share per thread: decoding and counting release the lock, and few maps are in memory.
        limits = [len(pairs) * worker // workers for worker in range(workers + 1)]
        for part in pool.map(measure, [pairs[start:end] for start, end in pairwise(limits)]):
            total += part
    return total.compute()


def _measure(
    folders: tuple[Path, Path],
    categories: Categories,
    check_truth: bool,
    pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]],
) -> PanopticQuality:
    quality = PanopticQuality(categories, check_truth=check_truth)
    for truth, prediction in pairs:
        sides = _Side.read(folders[0], truth, with_area=True), _Side.read(folders[1], prediction, with_area=False)
        try:
            _update(quality, *sides)
        except ValueError as error:
            raise ValueError(f"image {truth['image_id']!r}: {error}") from error
    return quality


class _Side(NamedTuple):
    """One image's truth or prediction; its PNG's ids as codes, if it has few."""

    path: Path
    coded: CodedIds | None
    entries: list[Any]
    with_area: bool

    @classmethod
    def read(cls, folder: Path, annotation: Mapping[str, Any], *, with_area: bool) -> _Side:
        path = folder / annotation["file_name"]
        return cls(path, read_coded_ids(path), annotation["segments_info"], with_area)

    def with_ids(self) -> PanopticMap:
        ids = read_ids(self.path) if self.coded is None else self.coded.decoded()
        return PanopticMap(ids, tuple([_segment(entry, self.with_area) for entry in self.entries]))

    def with_codes(self, coded: CodedIds) -> PanopticMap:
        """The same in bytes; KeyError if a segment has no pixels."""
        code_of = {segment_id: code for code, segment_id in enumerate(coded.ids.tolist())}
        return PanopticMap(
            coded.codes, tuple([_segment(entry, self.with_area, code_of.__getitem__) for entry in self.entries])
        )


def _update(quality: PanopticQuality, truth: _Side, prediction: _Side) -> None:
    """Measures by codes, if both have them; with the ids of the files what is refused, so that errors name these."""
    if truth.coded is not None and prediction.coded is not None:
        try:
            quality.update(truth.with_codes(truth.coded), prediction.with_codes(prediction.coded))
            return
        except (KeyError, ValueError):
            pass
    quality.update(truth.with_ids(), prediction.with_ids())


def _segment(entry: Any, with_area: bool, number: Callable[[int], int] = int) -> Segment:
    """A segment of the JSON, whose area may be missing where it is not needed, and its crowd everywhere.

    Args:
        entry: Of segments_info.
        with_area: Whether the area is needed.
        number: Gives the segment's id in the map from that in the JSON.
    """
    if isinstance(entry, dict):
        segment_id, category_id = entry.get("id"), entry.get("category_id")
        area, iscrowd = entry.get("area", "missing" if with_area else 0), entry.get("iscrowd", 0)
        if type(segment_id) is type(category_id) is int and type(area) in (int, float) and is_crowd_flag(iscrowd):
            return Segment(number(segment_id), category_id, area, bool(iscrowd))
    raise ValueError(_fault(entry, ("id", "category_id", "area") if with_area else ("id", "category_id")))


def _fault(entry: Any, needed: Sequence[str]) -> str:
    missing = [key for key in needed if not isinstance(entry, dict) or key not in entry]
    if missing:
        return f"segment {entry!r} lacks {', '.join(missing)}"
    if not all(type(entry[key]) is int for key in ("id", "category_id")):
        return f"segment {entry!r}: id and category_id must be integers"
    if type(entry.get("area", 0)) not in (int, float):
        return f"segment {entry['id']}: the area {entry['area']!r} is no number of pixels"
    return f"segment {entry['id']}: iscrowd {entry['iscrowd']!r} is neither 0 nor 1"


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such JSON of panoptic segmentations") from None
    except ValueError as error:
        raise ValueError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: a COCO panoptic JSON is an object, not a {type(content).__name__}")
    return content


def _list(content: Mapping[str, Any], key: str, source: str | Path) -> list[Any]:
    values = content.get(key)
    if not isinstance(values, list):
        raise ValueError(f"{source}: the key {key!r} is missing or not a list")
    return values


def _by_image(content: Mapping[str, Any], source: str | Path) -> dict[ImageId, Mapping[str, Any]]:
    found: dict[ImageId, Mapping[str, Any]] = {}
    for position, entry in enumerate(_list(content, "annotations", source)):
        needed = ("image_id", "file_name", "segments_info")
        missing = [key for key in needed if not isinstance(entry, dict) or key not in entry]
        if missing:
            raise ValueError(f"{source}: annotation {position} lacks {', '.join(missing)}")
        if not is_image_id(entry["image_id"]):
            raise ValueError(f"{source}: annotation {position}: image_id {entry['image_id']!r} is no integer or text")
        if not isinstance(entry["file_name"], str) or not isinstance(entry["segments_info"], list):
            raise ValueError(
                f"{source}: annotation of image {entry['image_id']!r}: file_name must be text, segments_info a list"
            )
        if entry["image_id"] in found:
            raise ValueError(f"{source}: image {entry['image_id']!r} is annotated more than once")
        found[entry["image_id"]] = entry
    return found
