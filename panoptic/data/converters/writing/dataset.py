"""Writes a converted data set: a folder in the layout that `find_splits` finds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.coco.converted import MARKER, ORIENTATION
from autopanoptic.panoptic.data.coco.images import Orientation
from autopanoptic.panoptic.data.converters.writing.conversion import Conversion
from autopanoptic.panoptic.data.converters.writing.journal import Record, convert_all
from autopanoptic.panoptic.data.converters.writing.marker import Marker, write_json
from autopanoptic.panoptic.data.problems import DatasetError

VERSION = 1
"""Changes when the same sources give another data set."""

Progress = Callable[[int, int], None]
"""Called with the images done and the images to do."""


@dataclass(frozen=True)
class SplitSource:
    """One split to be written.

    Attributes:
        name: train, nas_val or val.
        images: The folder of its images; a nas_val may share that of train.
        conversions: Its images.
    """

    name: str
    images: Path
    conversions: Sequence[Conversion]


@dataclass(frozen=True)
class Writing:
    """How a data set is written.

    Attributes:
        workers: Processes that convert images.
        copy_images: Whether the images are copied; otherwise the folder holds links to theirs, which must stay.
        progress: Called with the images done and the images to do, after each one.
    """

    workers: int = 1
    copy_images: bool = False
    progress: Progress | None = None


def write_dataset(
    root: Path,
    categories: Categories,
    splits: Sequence[SplitSource],
    parameters: Mapping[str, Any],
    writing: Writing,
    *,
    orientation: Orientation = "apply",
    besides: Callable[[], None] | None = None,
) -> tuple[str, ...]:
    """Write the splits under a folder: ``{split}/``, ``annotations/panoptic_{split}/`` and ``panoptic_{split}.json``.

    A complete data set of the same parameters is left as it is; one that was interrupted is gone on with. The JSONs
    appear when all images are converted.

    Args:
        root: The folder to make; it may exist if it is empty.
        categories: Of all splits.
        splits: In order; none without images.
        parameters: What the data set depends on, as a JSON object.
        writing: How.
        orientation: How its images are read, as of `CocoPanoptic`; the folder keeps it for all who open it.
        besides: Writes what else a complete data set has.

    Returns:
        The remarks about images, one sentence each; nothing about a data set that was complete.

    Raises:
        FileExistsError: If the folder holds something else.
        ValueError: If the folder was made from something else, or a split has no images.
        DatasetError: With all images that could not be converted; what was converted is kept.
    """
    for split in splits:
        if not split.conversions:
            raise ValueError(f"the split {split.name} has no images")
    images = "copied" if writing.copy_images else "linked"
    folders = {split.name: str(split.images.resolve()) for split in splits}
    described = {"version": VERSION, "images": images, "image_folders": folders, ORIENTATION: orientation, **parameters}
    marker = Marker(root / MARKER, described)
    if marker.begin():
        return ()
    converted = _convert(root, splits, writing)
    for split, records in zip(splits, converted, strict=True):
        _place_images(root / split.name, split, copy=writing.copy_images)
        write_json(root / "annotations" / f"panoptic_{split.name}.json", _json(records, categories))
    if besides is not None:
        besides()
    marker.finish()
    for split in splits:
        _journal(root, split).unlink()
    return tuple(remark for records in converted for record in records for remark in record["remarks"])


def _convert(root: Path, splits: Sequence[SplitSource], writing: Writing) -> list[list[Record]]:
    total, before = sum(len(split.conversions) for split in splits), 0
    converted: list[list[Record]] = []
    problems: list[str] = []
    for split in splits:

        def moved(done: int, before: int = before) -> None:
            if writing.progress is not None:
                writing.progress(before + done, total)

        pngs = root / "annotations" / f"panoptic_{split.name}"
        records, wrong = convert_all(
            split.conversions, pngs, _journal(root, split), workers=writing.workers, moved=moved
        )
        converted.append(records)
        problems += wrong
        before += len(split.conversions)
    if problems:
        raise DatasetError(f"{root}: not all images could be converted", problems)
    return converted


def _journal(root: Path, split: SplitSource) -> Path:
    return root / "annotations" / f".panoptic_{split.name}.jsonl"


def _json(records: Sequence[Record], categories: Categories) -> dict[str, Any]:
    return {
        "images": [record["image"] for record in records],
        "annotations": [record["annotation"] for record in records],
        "categories": categories.to_json(),
    }


def _place_images(target: Path, split: SplitSource, *, copy: bool) -> None:
    """Link the folder of a split's images, or copy those that are not there yet."""
    if not copy:
        link(split.images, target)
        return
    for conversion in split.conversions:
        image = target / conversion.image_file
        if not image.is_file():
            image.parent.mkdir(parents=True, exist_ok=True)
            partial = image.with_name(f".{image.name}.partial")
            shutil.copyfile(split.images / conversion.image_file, partial)
            os.replace(partial, image)


def link(source: Path, target: Path) -> None:
    """Make ``target`` a link to ``source``, unless it is one.

    Raises:
        FileExistsError: If the target is something else.
    """
    source = source.resolve()
    if target.is_symlink() and target.resolve() == source:
        return
    target.symlink_to(source, target_is_directory=source.is_dir())
