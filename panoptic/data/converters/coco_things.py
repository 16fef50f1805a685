"""COCO's things from its instance JSONs: their polygons and RLE over the stuff of the panoptic PNGs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autopanoptic.panoptic.data.coco.panoptic_png import read_ids
from autopanoptic.panoptic.data.converters.masks import Region, paint, rle_of
from autopanoptic.panoptic.data.converters.writing.conversion import Conversion, Converted
from autopanoptic.panoptic.data.converters.writing.dataset import Writing
from autopanoptic.panoptic.data.converters.writing.journal import convert_all
from autopanoptic.panoptic.data.converters.writing.marker import Marker, write_json
from autopanoptic.panoptic.data.problems import DatasetError

MARKER = "written.json"
"""File beside the PNGs: what they were made from, and whether all are there."""


def write_things(
    json_file: Path,
    sources: Mapping[str, Any],
    pngs: Path,
    kept: Collection[int],
    parameters: Mapping[str, Any],
    writing: Writing,
) -> tuple[str, ...]:
    """Write a panoptic JSON and its PNGs, in the folder of the same name, whose things are those of the instances.

    Instances lie over stuff, crowds below other things, and of two things the smaller one on top. A pixel of a thing in
    the panoptic PNG that no instance covers becomes void.

    Args:
        json_file: To be written, when all PNGs are.
        sources: The contents of the split's ``panoptic`` and ``instances`` JSONs.
        pngs: The folder of the PNGs as they are distributed.
        kept: Ids of images whose things stay those of the PNGs.
        parameters: What all depends on, as a JSON object.
        writing: Processes and progress.

    Returns:
        Remarks: instances of which nothing is visible.

    Raises:
        ValueError: If the folder was made from something else.
        DatasetError: With all images that could not be written; the others are kept.
    """
    panoptic, folder = sources["panoptic"], json_file.with_suffix("")
    marker = Marker(folder / MARKER, parameters)
    if marker.begin() and json_file.is_file():
        return ()
    conversions = _conversions(sources, pngs, kept)

    def moved(done: int) -> None:
        if writing.progress is not None:
            writing.progress(done, len(conversions))

    journal = json_file.with_name(f".{json_file.stem}.jsonl")
    records, problems = convert_all(conversions, folder, journal, workers=writing.workers, moved=moved)
    if problems:
        raise DatasetError(f"{folder}: not all images could be converted", problems)
    annotations = [record["annotation"] for record in records]
    write_json(json_file, {**panoptic, "annotations": annotations})
    marker.finish()
    journal.unlink()
    return tuple(remark for record in records for remark in record["remarks"])


def _conversions(sources: Mapping[str, Any], pngs: Path, kept: Collection[int]) -> list[_FromBoth]:
    images = {image["id"]: image for image in sources["panoptic"]["images"]}
    things = frozenset(c["id"] for c in sources["panoptic"]["categories"] if c["isthing"])
    instances: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for entry in sources["instances"]["annotations"]:
        instances[entry["image_id"]].append(entry)
    return [
        _FromBoth(
            image_id=entry["image_id"],
            image_file=images[entry["image_id"]]["file_name"],
            png_file=entry["file_name"],
            path=pngs / entry["file_name"],
            segments=tuple((s["id"], s["category_id"], bool(s["iscrowd"])) for s in entry["segments_info"]),
            instances=None if entry["image_id"] in kept else tuple(instances[entry["image_id"]]),
            things=things,
        )
        for entry in sources["panoptic"]["annotations"]
    ]


@dataclass(frozen=True)
class _FromBoth(Conversion):
    """One image: its panoptic PNG, and the instances that take the place of its things; None where they do not."""

    path: Path
    segments: tuple[tuple[int, int, bool], ...]
    instances: tuple[dict[str, Any], ...] | None
    things: frozenset[int]

    def convert(self) -> Converted:
        ids = read_ids(self.path)
        categories = {segment: category for segment, category, _ in self.segments}
        unknown = sorted(set(np.unique(ids).tolist()) - {0, *categories})
        if unknown:
            raise ValueError(f"{self.path}: holds the ids {unknown[:10]}, which its JSON does not have")
        if self.instances is None:
            return Converted(ids, categories, [segment for segment, _, crowd in self.segments if crowd])
        height, width = ids.shape
        painted = paint([self._region(one, height, width) for one in self.instances], (height, width), rest=None)
        # Those of instances begin at 1; stuff gets the numbers behind them.
        first = 1 + max(painted.categories, default=0)
        stuff = [segment for segment, category in categories.items() if category not in self.things]
        below = np.zeros_like(painted.ids)
        for number, segment in enumerate(stuff, first):
            below[ids == segment] = number
        return Converted(
            np.where(painted.ids > 0, painted.ids, below),
            {**painted.categories, **{first + i: categories[segment] for i, segment in enumerate(stuff)}},
            painted.crowds,
            tuple(f"{self.path}: {remark}" for remark in painted.remarks),
        )

    def _region(self, entry: Mapping[str, Any], height: int, width: int) -> Region:
        name = f"annotation {entry.get('id')}"
        if entry["category_id"] not in self.things:
            raise ValueError(f"{self.path}: {name} has the category {entry['category_id']}, which is no thing")
        try:
            rle = rle_of(entry["segmentation"], height, width)
        except ValueError as error:
            raise ValueError(f"{self.path}: {name} {error}") from error
        return Region(name, entry["category_id"], "crowd" if entry.get("iscrowd") else "thing", rle)
