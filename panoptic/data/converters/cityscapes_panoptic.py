"""Reads the panoptic JSONs of cityscapesScripts' createPanopticImgs, and says everything that is wrong with one."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any, TypeGuard

from autopanoptic.panoptic.data.problems import DatasetError

SEGMENT = ("id", "category_id", "iscrowd")


def read_panoptic_json(path: Path) -> dict[str, Any]:
    """Return a JSON whose names are those of files in their folders, and in which nothing that is read lacks.

    Raises:
        DatasetError: With everything that is wrong in it.
    """
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise DatasetError(str(path), [f"not valid JSON: {error}"]) from error
    lists = ("annotations", "categories")
    wrong = [key for key in lists if not isinstance(content, dict) or not isinstance(content.get(key), list)]
    if wrong:
        raise DatasetError(str(path), [f"the key {key!r} is missing or not a list" for key in wrong])
    problems = [
        f"the category at position {position} lacks id, name or isthing"
        for position, entry in enumerate(content["categories"])
        if not isinstance(entry, dict) or not {"id", "name", "isthing"} <= entry.keys()
    ]
    for position, entry in enumerate(content["annotations"]):
        problems += [f"the annotation at position {position} {fault}" for fault in _faults(entry)]
    problems = problems or _repeated(content["annotations"])
    if problems:
        raise DatasetError(str(path), problems)
    loaded: dict[str, Any] = content
    return loaded


def _faults(entry: Any) -> list[str]:
    if not isinstance(entry, dict):
        return ["is no object"]
    image_id, png, segments = (entry.get(key) for key in ("image_id", "file_name", "segments_info"))
    faults = []
    # The city, which the image's name begins with, is the image's folder.
    if not _is_plain(image_id) or not _is_plain(image_id.split("_")[0]):
        faults.append(f"has the image_id {image_id!r}, not a plain name such as frankfurt_000000_000294")
    if not _is_plain(png):
        faults.append(f"has the file_name {png!r}, not a plain name of a PNG, without folders")
    if not isinstance(segments, list):
        faults.append(f"has the segments_info {segments!r}, not a list")
    elif not all(isinstance(s, dict) and all(isinstance(s.get(key), int) for key in SEGMENT) for s in segments):
        faults.append("has a segment without integers id, category_id and iscrowd")
    return faults


def _is_plain(name: object) -> TypeGuard[str]:
    """Whether a name leads to a file in its folder and nowhere else, on Windows too."""
    return isinstance(name, str) and name not in ("", "..") and PurePosixPath(name.replace("\\", "/")).name == name


def _repeated(entries: list[dict[str, Any]]) -> list[str]:
    return [
        f"the {key} {name!r} occurs {times} times"
        for key in ("image_id", "file_name")
        for name, times in Counter(entry[key] for entry in entries).items()
        if times > 1
    ]
