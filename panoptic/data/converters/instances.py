"""Users' own data: COCO instance JSONs, as annotation tools export them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.coco.images import Orientation
from autopanoptic.panoptic.data.converters.instance_json import InstanceSet
from autopanoptic.panoptic.data.converters.masks import Order, Region, paint, rle_of
from autopanoptic.panoptic.data.converters.own_data import (
    OwnData,
    own_splits,
    panoptic_categories,
    png_names,
    require_size,
    settings_of,
    shared_files,
)
from autopanoptic.panoptic.data.converters.writing.conversion import Conversion, Converted
from autopanoptic.panoptic.data.converters.writing.dataset import Writing, write_dataset
from autopanoptic.panoptic.data.converters.writing.marker import fingerprint
from autopanoptic.panoptic.data.problems import DatasetError


def convert_instances(
    annotations: str | Path,
    images: str | Path,
    target: str | Path,
    *,
    val_annotations: str | Path | None = None,
    val_images: str | Path | None = None,
    own: OwnData | None = None,
    writing: Writing | None = None,
) -> tuple[str, ...]:
    """Make a data set of COCO instance JSONs: masks as polygons or RLE.

    Masks with ``iscrowd`` lie below the others, as segments that are crowds; see
    `autopanoptic.panoptic.data.converters.masks.paint` for what lies on top of what.

    Args:
        annotations: The JSON, with ``images``, ``annotations`` and ``categories``.
        images: The folder of the images; a ``file_name`` is looked for there, and then without its folders.
        target: The folder to make.
        val_annotations: A second JSON, of the images of val; without it val is drawn.
        val_images: Their folder; by default that of the others.
        own: The choices.
        writing: Processes, links or copies, progress.

    Returns:
        Remarks about images and categories.

    Raises:
        FileNotFoundError: If a JSON or a folder is missing.
        DatasetError: With everything that is wrong in a JSON, with missing images, with images of train that are
            images of val too, or with the images that could not be converted, because of their masks or sizes.
        ValueError: If there are too few images, or the target was made from something else.
    """
    own, target = own or OwnData(), Path(target)
    sets = [InstanceSet.read(Path(annotations), Path(images))]
    if val_annotations is not None:
        sets.append(InstanceSet.read(Path(val_annotations), Path(images if val_images is None else val_images)))
        sets[0].require_same_categories(sets[1])
    categories, rest = panoptic_categories(sets[0].categories, own, sets[0].path)
    made = [_conversions(each, categories, rest, own) for each in sets]
    _require_apart(sets, made)
    parameters = {
        "from": "instances",
        "source": [str(each.path.resolve()) for each in sets],
        "files": fingerprint(each.path for each in sets),
        **settings_of(own, given_val=len(sets) == 2),
    }
    splits = own_splits(made[0], sets[0].images, made[1:], sets[-1].images, own)
    remarks = write_dataset(target, categories, splits, parameters, writing or Writing(), orientation=own.orientation)
    return tuple(remark for each in sets for remark in each.remarks()) + remarks


def _conversions(source: InstanceSet, categories: Categories, rest: int | None, own: OwnData) -> list[_FromInstances]:
    """Return the images; DatasetError with those whose file is missing or the same as another's."""
    problems, made = [], []
    pngs = png_names([entry["id"] for entry in source.entries])
    for png, entry in zip(pngs, source.entries, strict=True):
        found = source.find(entry["file_name"])
        if found is None:
            problems.append(f"image file {source.images / entry['file_name']} of image {entry['id']} is missing")
            continue
        made.append(
            _FromInstances(
                image_id=entry["id"],
                image_file=found,
                png_file=png,
                path=source.images / found,
                size=(entry["height"], entry["width"]),
                annotations=tuple(source.annotations.get(entry["id"], ())),
                stuff=frozenset(c.id for c in categories.stuff),
                rest=rest,
                order=own.order,
                orientation=own.orientation,
            )
        )
    problems += [f"image file {path} is that of more than one image" for path in shared_files(c.path for c in made)]
    if problems:
        raise DatasetError(str(source.path), problems)
    return made


def _require_apart(sets: Sequence[InstanceSet], made: Sequence[Sequence[_FromInstances]]) -> None:
    """DatasetError with the images of train that are images of val too."""
    shared = shared_files(conversion.path for each in made for conversion in each)
    if shared:
        raise DatasetError(
            " and ".join(str(each.path) for each in sets),
            [f"{path} is an image of both, and val's must be others than those of training" for path in shared],
        )


@dataclass(frozen=True)
class _FromInstances(Conversion):
    path: Path
    size: tuple[int, int]
    annotations: tuple[dict[str, Any], ...]
    stuff: frozenset[int]
    rest: int | None
    order: Order
    orientation: Orientation

    def convert(self) -> Converted:
        require_size(self.path, self.size, self.orientation)
        regions, problems = [], []
        for position, entry in enumerate(self.annotations):
            name = f"annotation {entry.get('id', f'at position {position} of its image')}"
            try:
                regions.append(self._region(entry, name))
            except ValueError as error:
                problems.append(f"{name} {error}")
        if problems:
            raise ValueError(f"{self.path}: {'; '.join(problems)}")
        painted = paint(regions, self.size, self.rest, self.order)
        return Converted(
            painted.ids, painted.categories, painted.crowds, tuple(f"{self.path}: {r}" for r in painted.remarks)
        )

    def _region(self, entry: Mapping[str, Any], name: str) -> Region:
        rle = rle_of(entry["segmentation"], *self.size)
        if entry["category_id"] in self.stuff:
            return Region(name, entry["category_id"], "stuff", rle)
        return Region(name, entry["category_id"], "crowd" if entry.get("iscrowd") else "thing", rle)
