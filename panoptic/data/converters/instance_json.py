"""Reads COCO instance JSONs, and says everything that is wrong with one."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from autopanoptic.panoptic.data.converters.writing.sources import require_folder
from autopanoptic.panoptic.data.image_id import faults_of_ids, is_image_id
from autopanoptic.panoptic.data.problems import DatasetError


@dataclass(frozen=True)
class InstanceSet:
    """A COCO instance JSON that is consistent in itself.

    Attributes:
        path: The JSON.
        images: The folder of the images.
        categories: Its categories.
        entries: Its images.
        annotations: The annotations by image id, in their order.
    """

    path: Path
    images: Path
    categories: list[dict[str, Any]]
    entries: list[dict[str, Any]]
    annotations: Mapping[Any, list[dict[str, Any]]]

    @classmethod
    def read(cls, path: Path, images: Path) -> InstanceSet:
        """Read a JSON; raises as `convert_instances`."""
        require_folder(images, "the images")
        content = read_instances(path)
        if problems := lost_annotations(content):
            raise DatasetError(str(path), problems)
        annotations = defaultdict(list)
        for entry in content["annotations"]:
            annotations[entry["image_id"]].append(entry)
        return cls(path, images, content["categories"], content["images"], annotations)

    def require_same_categories(self, other: InstanceSet) -> None:
        """ValueError unless ids and names are the same."""
        own, others = ({(c["id"], c["name"]) for c in each.categories} for each in (self, other))
        if own != others:
            first = sorted(own ^ others)[0]
            raise ValueError(f"{self.path} and {other.path} have other categories: {first} is in one of them only")

    def remarks(self) -> list[str]:
        """Return what is better looked at: categories that nothing is of."""
        used = {entry["category_id"] for entries in self.annotations.values() for entry in entries}
        unused = [c["name"] for c in self.categories if c["id"] not in used]
        return [f"{self.path}: nothing is of the category {name!r}" for name in unused]

    def find(self, name: str) -> str | None:
        """Return where an image lies, relative to the folder, for its name in the JSON; None if it is not there."""
        return find_image(self.images, name)


def read_instances(path: Path) -> dict[str, Any]:
    """Return the contents of a COCO instance JSON, whose entries are well formed.

    Raises:
        FileNotFoundError: If there is no such file.
        DatasetError: With everything that is wrong.
    """
    content = _load(path)
    problems: list[str] = []
    for kind, keys in (
        ("categories", ("id", "name")),
        ("images", ("id", "file_name", "height", "width")),
        ("annotations", ("image_id", "category_id", "segmentation")),
    ):
        _check(content[kind], kind, keys, problems)
    if not problems:
        problems += faults_of_ids(image["id"] for image in content["images"])
    if problems:
        raise DatasetError(str(path), problems)
    return content


def lost_annotations(content: Mapping[str, Any]) -> list[str]:
    """Say which annotations are of images or categories that the file does not have."""
    images, categories = ({entry["id"] for entry in content[kind]} for kind in ("images", "categories"))
    return [
        f"annotation {entry.get('id', f'at position {position}')} has the {key} {entry[key]!r}, which is not in the "
        "file"
        for position, entry in enumerate(content["annotations"])
        for key, known in (("image_id", images), ("category_id", categories))
        if not is_image_id(entry[key]) or entry[key] not in known
    ]


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such annotation file") from None
    except ValueError as error:
        raise DatasetError(str(path), [f"not valid JSON: {error}"]) from error
    lists = ("images", "annotations", "categories")
    wrong = [key for key in lists if not isinstance(content, dict) or not isinstance(content.get(key), list)]
    if wrong:
        raise DatasetError(str(path), [f"the key {key!r} is missing or not a list" for key in wrong])
    loaded: dict[str, Any] = content
    return loaded


def _check(entries: list[Any], kind: str, keys: Collection[str], problems: list[str]) -> None:
    """Report entries that lack keys, have sizes that are none or an id twice."""
    ids: Counter[Any] = Counter()
    for position, entry in enumerate(entries):
        missing = [key for key in keys if not isinstance(entry, dict) or key not in entry]
        if missing:
            problems.append(f"{kind}: the entry at position {position} lacks {', '.join(missing)}")
            continue
        sizes = [entry[key] for key in ("height", "width") if key in keys]
        if not all(isinstance(side, int) and side > 0 for side in sizes):
            problems.append(f"{kind}: height and width of {entry['id']!r} are {sizes}, not positive integers")
        if "file_name" in keys and not isinstance(entry["file_name"], str):
            problems.append(f"{kind}: the file_name {entry['file_name']!r} of {entry['id']!r} is not text")
        if "name" in keys and not isinstance(entry["name"], str):
            problems.append(f"{kind}: the name {entry['name']!r} of {entry['id']!r} is not text")
        if "id" in keys:
            known = is_image_id(entry["id"])
            ids[entry["id"] if known else None] += 1
            if kind == "categories" and type(entry["id"]) is not int:
                problems.append(f"{kind}: the id {entry['id']!r} is not an integer")
            elif not known:
                problems.append(f"{kind}: the id {entry['id']!r} is neither an integer nor text")
    problems += [f"{kind}: the id {i!r} occurs {times} times" for i, times in ids.items() if times > 1]


def find_image(folder: Path, name: str) -> str | None:
    """Return where an image lies, relative to a folder, for its name in an annotation; None if it is not there."""
    # Tools on Windows write backslashes, and some write where the images lay when they were annotated.
    path = PurePosixPath(name.replace("\\", "/"))
    inside = not path.is_absolute() and ".." not in path.parts
    candidates = ([path] if inside else []) + [PurePosixPath(path.name)]
    return next((str(each) for each in candidates if (folder / each).is_file()), None)
