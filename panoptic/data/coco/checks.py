"""Checks of a data set's pixels against its JSON, before hours of training depend on them."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

from autopanoptic.panoptic.data.coco.images import UPRIGHT
from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.data.problems import DatasetError, DatasetWarning


def check(
    dataset: CocoPanoptic,
    *,
    limit: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Decodes images and PNGs and compares them with the JSON.

    Found are damaged files, sizes other than the JSON's, ids that are in the PNG but not in the JSON and the
    reverse, and areas that differ from the PNG's: a wrong area makes PQ wrong, even larger than 1. What the
    JSON alone tells (duplicated ids, unknown categories, unpaired images and annotations) and which files
    are missing is checked whenever a `CocoPanoptic` is made.

    A warning, not an error, names the images whose EXIF orientation is not 1: if their PNGs were drawn under the
    other convention than the data set's ``orientation``, truths and pixels do not fit, and nothing but a look at
    both tells.

    An image takes about 10 ms, so COCO's 118,000 take 20 minutes: check all of a set of a few thousand
    images, and a sample of a larger one.

    Args:
        dataset: What to check.
        limit: Images to check, drawn without replacement; None checks all.
        seed: Decides the draw.
        progress: Called with the images done and the images to do, after each one.

    Warns:
        DatasetWarning: With all images whose EXIF orientation is not 1; the message lists the first ten.

    Raises:
        DatasetError: With all problems found; the message lists the first ten.
        ValueError: If the limit is not positive.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit={limit}: at least one image must be checked, or None for all")
    indices = np.arange(len(dataset))
    if limit is not None and limit < len(dataset):
        indices = np.sort(np.random.default_rng(seed).choice(len(dataset), size=limit, replace=False))
    problems: list[str] = []
    remarks: list[str] = []
    for done, index in enumerate(indices.tolist(), start=1):
        problems += _image_problems(dataset, index, remarks)
        if progress is not None:
            progress(done, len(indices))
    if remarks:
        warnings.warn(DatasetWarning(dataset.source, remarks), stacklevel=2)
    if problems:
        raise DatasetError(dataset.source, problems)


def _image_problems(dataset: CocoPanoptic, index: int, remarks: list[str]) -> list[str]:
    """Says what is wrong with the pixels of one image, and adds what is to be looked at to the remarks."""
    problems = []
    try:
        stored = dataset.stored_image(index)
        if stored.orientation != UPRIGHT:
            remarks.append(_orientation_remark(dataset, index, stored.orientation))
        dataset.oriented(index, stored)
    except (OSError, ValueError) as error:
        problems.append(str(error))
    try:
        problems += _segment_problems(dataset, index)
    except (OSError, ValueError) as error:
        problems.append(str(error))
    return problems


def _orientation_remark(dataset: CocoPanoptic, index: int, orientation: int) -> str:
    named = f"{dataset.image_path(index)}: its EXIF orientation is {orientation}"
    if not 1 <= orientation <= 8:
        return f"{named}, which means nothing: it is read as it is stored"
    done, other = ("turned by it", "ignore") if dataset.orientation == "apply" else ("read as it is stored", "apply")
    return f"{named}, and it is {done}; if its PNG is not, open the data set with orientation={other!r}"


def _segment_problems(dataset: CocoPanoptic, index: int) -> list[str]:
    path, segments = dataset.png_path(index), dataset.annotations.segments(index)
    numbers, found = dataset.numbers(index)
    problems = [f"{path}: {problem}" for problem in found]
    areas = np.bincount(numbers.ravel(), minlength=len(segments) + 1)[1:].tolist()
    problems += [
        f"{path}: segment {segment.id} has {area} pixels, but the JSON's area is {segment.area}"
        for segment, area in zip(segments, areas, strict=True)
        if area not in (0, segment.area)
    ]
    return problems
