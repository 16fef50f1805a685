"""Users' own data: a folder of labelme's JSONs, one for each image."""

from __future__ import annotations

import base64
import io
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from autopanoptic.panoptic.data.coco.images import DECODING_ERRORS, Orientation
from autopanoptic.panoptic.data.converters.instance_json import find_image
from autopanoptic.panoptic.data.converters.masks import Kind, Order, Region, paint, rle_of_mask
from autopanoptic.panoptic.data.converters.own_data import (
    OwnData,
    own_splits,
    panoptic_categories,
    png_name,
    require_size,
    settings_of,
)
from autopanoptic.panoptic.data.converters.writing.conversion import Conversion, Converted
from autopanoptic.panoptic.data.converters.writing.dataset import Writing, write_dataset
from autopanoptic.panoptic.data.converters.writing.marker import fingerprint
from autopanoptic.panoptic.data.converters.writing.sources import require_folder
from autopanoptic.panoptic.data.problems import DatasetError

IGNORED = "__ignore__"
"""labelme's label of regions that belong to no class: they become void, over everything else."""
POINTS = {"circle": (2, 2), "rectangle": (2, 2), "oriented_rectangle": (4, 4), "polygon": (3, None), "mask": (2, 2)}
"""The shapes that cover pixels, and how many points each has, at least and at most."""


def convert_labelme(
    folder: str | Path,
    target: str | Path,
    *,
    labels: Sequence[str] | None = None,
    val_folder: str | Path | None = None,
    own: OwnData | None = None,
    writing: Writing | None = None,
) -> tuple[str, ...]:
    """Make a data set of a folder of labelme's JSONs: polygons, rectangles, circles and masks.

    Shapes of one label with one ``group_id`` are one thing; the others are one each. Pixels are those that labelme's own
    ``shape_to_mask`` draws. Lines and points cover none and are refused. Images lie where ``imagePath`` says, in
    the folder; ``imageData`` is not read.

    Args:
        folder: The JSONs and images; folders in it are searched too.
        target: The folder to make.
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
        ValueError: If there are too few images, or the target was made from something else.
    """
    own, target = own or OwnData(), Path(target)
    folders = [Path(folder), *([] if val_folder is None else [Path(val_folder)])]
    files = [_json_files(each) for each in folders]
    entries = [[_Entry.read(path, root) for path in paths] for root, paths in zip(folders, files, strict=True)]
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
    parameters = {
        "from": "labelme",
        "source": [str(each.resolve()) for each in folders],
        "labels": names,
        "files": fingerprint(path for paths in files for path in paths),
        **settings_of(own, given_val=len(folders) == 2),
    }
    splits = own_splits(made[0], folders[0], made[1:], folders[-1], own)
    return write_dataset(target, categories, splits, parameters, writing or Writing())


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
    def read(cls, path: Path, root: Path) -> _Entry:
        def wrong(problem: str) -> _Entry:
            return cls(path, root, "", (0, 0), (), f"{path}: {problem}")

        try:
            content = json.loads(path.read_bytes())
        except ValueError as error:
            return wrong(f"not valid JSON: {error}")
        keys = ("shapes", "imagePath", "imageHeight", "imageWidth")
        lacking = [key for key in keys if not isinstance(content, dict) or content.get(key) is None]
        if lacking:
            return wrong(f"lacks {', '.join(lacking)}, which labelme writes; what else is in {root} must be moved away")
        near = find_image(path.parent, content["imagePath"])
        if near is None:
            return wrong(f"its image {content['imagePath']} is not in {path.parent}")
        image = (path.parent / near).relative_to(root).as_posix()
        problems = [fault for shape in content["shapes"] if (fault := _fault(shape))]
        if problems:
            return wrong("; ".join(problems))
        return cls(path, root, image, (content["imageHeight"], content["imageWidth"]), tuple(content["shapes"]))


def _fault(shape: dict[str, Any]) -> str | None:
    label, kind, points = shape.get("label"), shape.get("shape_type") or "polygon", shape.get("points")
    if not isinstance(label, str) or not label:
        return f"a shape has the label {label!r}, not a text"
    if kind not in POINTS:
        return f"a shape of {label!r} is a {kind}, which covers no pixels; draw {', '.join(POINTS)}, or delete it"
    least, most = POINTS[kind]
    if not isinstance(points, list) or not all(
        isinstance(p, list) and len(p) == 2 and all(isinstance(x, (int, float)) and math.isfinite(x) for x in p)
        for p in points
    ):
        return f"a {kind} of {label!r} has points that are not pairs of finite numbers"
    if len(points) < least or (most is not None and len(points) > most):
        wanted = f"{least}" if most else f"at least {least}"
        return f"a {kind} of {label!r} has {len(points)} points; {wanted} are needed"
    if kind == "mask" and not isinstance(shape.get("mask"), str):
        return f"a mask of {label!r} has no `mask`"
    return None


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
    shared = [path for path, times in Counter(c.path for c in conversions).items() if times > 1]
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
            png_file=png_name(position + 1, position),
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


def draw(shape: dict[str, Any], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return the pixels of a shape, (H, W), as labelme's ``utils.shape_to_mask`` and ``shapes_to_label`` draw them.

    Raises:
        ValueError: If a mask is damaged or does not fit into the image.
    """
    points = [(float(x), float(y)) for x, y in shape["points"]]
    kind = shape.get("shape_type") or "polygon"
    if kind == "mask":
        return _placed(shape["mask"], points, size)
    image = Image.new("L", (size[1], size[0]))
    pen = ImageDraw.Draw(image)
    if kind == "circle":
        (x, y), edge = points
        radius = math.dist((x, y), edge)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=1, fill=1)
    elif kind == "rectangle":
        (left, right), (top, bottom) = (sorted(side) for side in zip(*points, strict=True))
        pen.rectangle((left, top, right, bottom), outline=1, fill=1)
    else:
        pen.polygon(points, outline=1, fill=1)
    return np.array(image, dtype=bool)


def _placed(encoded: str, points: Sequence[tuple[float, float]], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return a mask that is given as the PNG of its box, whose last row and column belong to it."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
            part = np.array(image).astype(bool)
    except DECODING_ERRORS as error:
        raise ValueError(f"cannot be decoded ({error})") from error
    (left, top), (right, bottom) = (tuple(int(x) for x in point) for point in points)
    mask = np.zeros(size, dtype=bool)
    inside = 0 <= top <= bottom < size[0] and 0 <= left <= right < size[1]
    if not inside or part.shape != (bottom - top + 1, right - left + 1):
        raise ValueError(f"of shape {part.shape} does not fit into its box {left, top, right, bottom} of the image")
    mask[top : bottom + 1, left : right + 1] = part
    return mask
