"""Users' own data: a folder of labelme's JSONs, one for each image."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autopanoptic.panoptic.data.coco.images import Orientation
from autopanoptic.panoptic.data.converters.instance_json import find_image
from autopanoptic.panoptic.data.converters.labelme_shapes import draw, fault_of
from autopanoptic.panoptic.data.converters.masks import Kind, Order, Region, paint, rle_of_mask
from autopanoptic.panoptic.data.converters.own_data import (
    OwnData,
    own_splits,
    panoptic_categories,
    png_name,
    require_size,
    settings_of,
    shared_files,
)
from autopanoptic.panoptic.data.converters.writing.conversion import Conversion, Converted
from autopanoptic.panoptic.data.converters.writing.dataset import Writing, write_dataset
from autopanoptic.panoptic.data.converters.writing.marker import fingerprint
from autopanoptic.panoptic.data.converters.writing.sources import require_folder
from autopanoptic.panoptic.data.problems import DatasetError

IGNORED = "__ignore__"
"""labelme's label of regions that belong to no class: they become void, over everything else."""


def convert_labelme(
    folder: str | Path,
    target: str | Path,
    *,
    images: str | Path | None = None,
    labels: Sequence[str] | None = None,
    val_folder: str | Path | None = None,
    own: OwnData | None = None,
    writing: Writing | None = None,
) -> tuple[str, ...]:
    """Make a data set of a folder of labelme's JSONs: polygons, rectangles, circles and masks.

    Shapes of one label with one ``group_id`` are one thing; the others are one each. Pixels are those that labelme's
    own ``shape_to_mask`` draws. Lines and points cover none and are refused, and ``imageData`` is not read.

    Args:
        folder: The JSONs; folders in it are searched too.
        target: The folder to make; outside of the folders of JSONs.
        images: Where the images lie, by their ``imagePath`` or its last part; None for beside their JSONs.
        labels: The classes in their order, so that others are refused; None for all there are, by their names.
        val_folder: A second folder, of the images of val; without it val is drawn.
        own: The choices; a ``rest`` that is a label, such as ``_background_``, is that class.
        writing: Processes, links or copies, progress.

    Returns:
        Remarks about images.

    Raises:
        FileNotFoundError: If a folder is missing.
        DatasetError: With everything that is wrong in the JSONs, with unknown labels and missing images, or with the
            images that could not be converted.
        ValueError: If there are too few images, or the target lies in a folder of JSONs or was made from something
            else.
    """
    own, target = own or OwnData(), Path(target)
    folders = [Path(folder), *([] if val_folder is None else [Path(val_folder)])]
    _require_outside(target, folders)
    if images is not None:
        require_folder(Path(images), "the images")
    files = [_json_files(each) for each in folders]
    entries = [[_Entry.read(path, root, images) for path in paths] for root, paths in zip(folders, files, strict=True)]
    every = [entry for each in entries for entry in each]
    names = _names(every, labels, Path(folder))
    categories, rest = panoptic_categories(
        [{"id": i, "name": name} for i, name in enumerate(names, start=1)], own, Path(folder)
    )
    ids = {category.name: category.id for category in categories}
    stuff = frozenset(category.name for category in categories.stuff)
    positions = iter(range(len(every)))
    made = [[_FromLabelme.of(entry, next(positions), ids, stuff, rest, own) for entry in each] for each in entries]
    _require_own_images([conversion for each in made for conversion in each], Path(folder))
    places = [each if images is None else Path(images) for each in folders]
    parameters = {
        "from": "labelme",
        "source": [str(each.resolve()) for each in folders],
        "labels": names,
        "files": fingerprint(path for paths in files for path in paths),
        **settings_of(own, given_val=len(folders) == 2),
    }
    splits = own_splits(made[0], places[0], made[1:], places[-1], own)
    return write_dataset(target, categories, splits, parameters, writing or Writing(), orientation=own.orientation)


def _require_outside(target: Path, folders: Sequence[Path]) -> None:
    for folder in folders:
        if target.resolve().is_relative_to(folder.resolve()):
            raise ValueError(
                f"{target} lies in {folder}, all of whose JSONs are read; choose a folder outside, or those of the "
                "data set itself would be read the next time"
            )


def _json_files(folder: Path) -> list[Path]:
    require_folder(folder, "labelme's JSONs and the images")
    found = sorted(folder.rglob("*.json"))
    if not found:
        raise FileNotFoundError(f"{folder} holds no JSON; labelme writes one for each annotated image")
    return found


@dataclass(frozen=True)
class _Entry:
    """A JSON that is as labelme writes it, and where its image lies; or what is wrong with it."""

    path: Path
    root: Path
    image: str
    size: tuple[int, int]
    shapes: tuple[dict[str, Any], ...]
    problem: str | None = None

    @classmethod
    def read(cls, path: Path, folder: Path, images: str | Path | None) -> _Entry:
        root = folder if images is None else Path(images)
        place = path.parent if images is None else root

        def wrong(problem: str) -> _Entry:
            return cls(path, root, "", (0, 0), (), f"{path}: {problem}")

        try:
            content = json.loads(path.read_bytes())
        except ValueError as error:
            return wrong(f"not valid JSON: {error}")
        keys = ("shapes", "imagePath", "imageHeight", "imageWidth")
        lacking = [key for key in keys if not isinstance(content, dict) or content.get(key) is None]
        if lacking:
            return wrong(
                f"lacks {', '.join(lacking)}, which labelme writes; what else is in {folder} must be moved away"
            )
        if not isinstance(content["imagePath"], str):
            return wrong(f"has the imagePath {content['imagePath']!r}, which is not text")
        if not isinstance(content["shapes"], list):
            return wrong(f"has {content['shapes']!r:.60} for shapes, which is not a list")
        size = content["imageHeight"], content["imageWidth"]
        if not all(type(side) is int and side > 0 for side in size):
            return wrong(f"has the imageHeight and imageWidth {list(size)}, which are not positive integers")
        near = find_image(place, content["imagePath"])
        if near is None:
            return wrong(f"its image {content['imagePath']} is not in {place}")
        image = (place / near).relative_to(root).as_posix()
        problems = [fault for shape in content["shapes"] if (fault := fault_of(shape))]
        if problems:
            return wrong("; ".join(problems))
        return cls(path, root, image, size, tuple(content["shapes"]))


def _names(entries: Sequence[_Entry], labels: Sequence[str] | None, folder: Path) -> list[str]:
    """Return the classes in their order; DatasetError with what is wrong with the JSONs, and with unknown labels."""
    problems = [entry.problem for entry in entries if entry.problem]
    used = {shape["label"]: entry.path for entry in entries for shape in entry.shapes if shape["label"] != IGNORED}
    if labels is not None:
        unknown = sorted(used.keys() - set(labels))
        problems += [f"{used[name]}: has the label {name!r}, none of {', '.join(labels)}" for name in unknown]
    if problems:
        raise DatasetError(str(folder), problems)
    return sorted(used) if labels is None else list(labels)


def _require_own_images(conversions: Sequence[_FromLabelme], folder: Path) -> None:
    shared = shared_files(conversion.path for conversion in conversions)
    if shared:
        raise DatasetError(str(folder), [f"{path} is the image of more than one JSON" for path in shared])


@dataclass(frozen=True)
class _FromLabelme(Conversion):
    path: Path
    size: tuple[int, int]
    shapes: tuple[dict[str, Any], ...]
    ids: dict[str, int]
    stuff: frozenset[str]
    rest: int | None
    order: Order
    orientation: Orientation

    @classmethod
    def of(
        cls, entry: _Entry, position: int, ids: dict[str, int], stuff: frozenset[str], rest: int | None, own: OwnData
    ) -> _FromLabelme:
        return cls(
            image_id=position + 1,
            image_file=entry.image,
            png_file=png_name(position + 1),
            path=entry.root / entry.image,
            size=entry.size,
            shapes=entry.shapes,
            ids=ids,
            stuff=stuff,
            rest=rest,
            order=own.order,
            orientation=own.orientation,
        )

    def convert(self) -> Converted:
        require_size(self.path, self.size, self.orientation)
        groups: dict[tuple[str, Any], list[dict[str, Any]]] = {}
        for position, shape in enumerate(self.shapes):
            group = shape.get("group_id")
            groups.setdefault((shape["label"], f"alone {position}" if group is None else group), []).append(shape)
        regions = [self._region(label, shapes) for (label, _), shapes in groups.items()]
        painted = paint(regions, self.size, self.rest, self.order)
        remarks = tuple(f"{self.path}: {remark}" for remark in painted.remarks)
        return Converted(painted.ids, painted.categories, painted.crowds, remarks)

    def _region(self, label: str, shapes: Sequence[dict[str, Any]]) -> Region:
        mask = np.zeros(self.size, dtype=bool)
        for shape in shapes:
            try:
                mask |= draw(shape, self.size)
            except ValueError as error:
                raise ValueError(f"{self.path}: a {shape['shape_type']} of {label!r} {error}") from error
        kind: Kind = "void" if label == IGNORED else "stuff" if label in self.stuff else "thing"
        name = f"the {label} at {tuple(round(x) for x in shapes[0]['points'][0])}"
        return Region(name, None if label == IGNORED else self.ids[label], kind, rle_of_mask(mask))
