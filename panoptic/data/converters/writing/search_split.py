"""Writes the search's own split: which images of train belong to nas_train and which to nas_val."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.coco.cuts import default_cut, drawn
from autopanoptic.panoptic.data.coco.images import Orientation
from autopanoptic.panoptic.data.converters.writing.dataset import SplitSource, Writing, write_dataset
from autopanoptic.panoptic.data.converters.writing.marker import write_json


def draw_search_split(image_ids: list[Any], count: int | None, seed: int, source: Path) -> set[Any]:
    """Draw the ids of nas_val, as `find_splits(...).open(seed)` draws them where nothing is written.

    Args:
        image_ids: Of train; all integers or all text.
        count: Images of nas_val; None for a tenth, at most 5,000.
        seed: Decides the draw.
        source: Named in errors.

    Raises:
        ValueError: If the count leaves no image for nas_train or nas_val.
    """
    count = default_cut(len(image_ids)) if count is None else count
    if not 1 <= count < len(image_ids):
        raise ValueError(
            f"nas_val={count}: {source} has {len(image_ids):,} training images, of which nas_val takes at least 1 "
            "and leaves at least 1"
        )
    return {image_ids[position] for position in drawn(np.array(image_ids), count, seed)}


def part_of(content: Mapping[str, Any], image_ids: set[Any]) -> dict[str, Any]:
    """Return the part of a COCO JSON, panoptic or of instances, that is about these images; other keys are kept."""
    return {
        **content,
        "images": [image for image in content["images"] if image["id"] in image_ids],
        "annotations": [entry for entry in content["annotations"] if entry["image_id"] in image_ids],
    }


def write_parts(train: Path, kind: str, suffix: str, nas_val: set[Any], folder: Path) -> None:
    """Write the parts of train's JSON as ``{kind}_nas_{train,val}{suffix}.json``, if they are not there."""
    files = {name: folder / f"{kind}_{name}{suffix}.json" for name in ("nas_train", "nas_val")}
    if all(file.is_file() for file in files.values()):
        return
    content = json.loads(train.read_bytes())
    others = {image["id"] for image in content["images"]} - nas_val
    for name, image_ids in (("nas_train", others), ("nas_val", nas_val)):
        write_json(files[name], part_of(content, image_ids))


def write_with_search(
    target: Path,
    categories: Categories,
    splits: Sequence[SplitSource],
    parameters: Mapping[str, Any],
    writing: Writing,
    nas_val: int | None,
    seed: int,
    *,
    orientation: Orientation = "apply",
) -> tuple[str, ...]:
    """Write a data set, and where train is among its splits the search's parts of it.

    Args:
        target: The folder to make.
        categories: Of all splits.
        splits: Of the release, train before val.
        parameters: What the data set depends on, without the draw; its ``source`` is named in errors.
        writing: How.
        nas_val: Images of train that are set aside for the search; None for a tenth.
        seed: Decides which.
        orientation: How the images are read.

    Returns:
        Remarks about images, as `write_dataset`, which also says what it raises.

    Raises:
        ValueError: If train is too small for the draw.
    """
    image_ids = [one.image_id for split in splits if split.name == "train" for one in split.conversions]
    taken = draw_search_split(image_ids, nas_val, seed, Path(parameters["source"])) if image_ids else set()
    described = {**parameters, "nas_val": len(taken), "seed": seed}
    train = target / "annotations" / "panoptic_train.json"
    parts = partial(write_parts, train, "panoptic", "", taken, target / "nas") if taken else None
    return write_dataset(target, categories, splits, described, writing, orientation=orientation, besides=parts)
