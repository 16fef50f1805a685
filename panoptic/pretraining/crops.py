"""A classification set cut from a panoptic one: its things, and windows that one stuff class fills."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from autopanoptic.panoptic.data.categories import Categories, Category
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.coco.reader import CocoPanoptic, Sample
from autopanoptic.panoptic.data.problems import DatasetError
from autopanoptic.panoptic.training.record import describe_data

CROPS = "crops.json"


@dataclass(frozen=True)
class CropRules:
    """What is cut out.

    Attributes:
        margin: The square around a thing is so many times as large as the longer side of its box.
        least_side: Things whose box has a longer side of fewer pixels are left out.
        window: Side of a stuff crop, as a share of the image's shorter side.
        filled: Share of a stuff crop's pixels that must be of its class.
    """

    margin: float = 1.2
    least_side: int = 12
    window: float = 0.3
    filled: float = 0.95

    def __post_init__(self) -> None:
        if self.margin < 1 or self.least_side < 1 or not 0 < self.window <= 1 or not 0 < self.filled <= 1:
            raise ValueError(f"{self}: margin and least_side must be at least 1, and window and filled lie in (0, 1]")


class _Crop(NamedTuple):
    category: Category
    rows: slice
    columns: slice


def write_crops(
    datasets: Datasets,
    folder: str | Path,
    rules: CropRules | None = None,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write an ``ImageFolder`` of crops: ``train/CLASS/*.png`` of the split train, ``val/CLASS/*.png`` of val.

    Each thing gives one crop, and in each image each stuff class one, at a random place where it fills the window.
    Classes without a crop in either split are left out of both. A folder that holds these crops already stays.

    Args:
        datasets: The panoptic set.
        folder: Where they go; it is either whole or not there.
        rules: What is cut out; None for the defaults.
        seed: Decides the places of stuff crops; not negative.
        progress: Called with how many images are done, and how many there are.

    Raises:
        DatasetError: If fewer than two classes have crops in both splits.
        ValueError: If the folder holds something else.
    """
    folder, rules = Path(folder), rules or CropRules()
    record = json.loads(json.dumps({"rules": asdict(rules), "seed": seed, "train": describe_data(datasets.train),
                                    "val": describe_data(datasets.val)}))  # fmt: skip
    if folder.exists():
        _require_same(folder, record)
        return folder
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    splits = {"train": datasets.train, "val": datasets.val}
    total, done = sum(map(len, splits.values())), 0
    for split, dataset in splits.items():
        for index in range(len(dataset)):
            _write(dataset, index, partial / split, rules, seed)
            done += 1
            progress(done, total)
    _keep_common(partial, str(folder))
    (partial / CROPS).write_text(json.dumps(record) + "\n")
    os.replace(partial, folder)
    return folder


def class_folder(category: Category) -> str:
    """Return the name of a category's folder: its id and its name, without what file systems refuse."""
    return f"{category.id:03d}-{re.sub(r'[^0-9A-Za-z]+', '-', category.name).strip('-')}"


def _write(dataset: CocoPanoptic, index: int, folder: Path, rules: CropRules, seed: int) -> None:
    sample = dataset[index]
    pixels = sample.image.permute(1, 2, 0).numpy()
    rng = np.random.default_rng([seed, index])
    for place, crop in enumerate(_crops(sample, dataset.categories, rules, rng)):
        path = folder / class_folder(crop.category) / f"{index:07d}-{place:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(pixels[crop.rows, crop.columns])).save(path)


def _crops(sample: Sample, categories: Categories, rules: CropRules, rng: np.random.Generator) -> Iterator[_Crop]:
    (height, width), truth = sample.truth.size, sample.truth
    for box, label in zip(truth.boxes.tolist(), truth.labels.tolist(), strict=True):
        side = max(box[2] - box[0], box[3] - box[1])
        if side >= rules.least_side:
            reach = side * rules.margin / 2
            rows, columns = _range(box[1], box[3], reach, height), _range(box[0], box[2], reach, width)
            yield _Crop(categories.things[label - 1], rows, columns)
    side = max(1, round(rules.window * min(height, width)))
    semantic = truth.semantic.numpy()
    for label, category in enumerate(categories.stuff, 1):
        places = np.argwhere(_window_sums(semantic == label, side) >= rules.filled * side * side)
        if len(places):
            top, left = places[rng.integers(len(places))].tolist()
            yield _Crop(category, slice(top, top + side), slice(left, left + side))


def _range(low: float, high: float, reach: float, size: int) -> slice:
    """The pixels within a reach of the middle of a side, as far as there are any."""
    middle = (low + high) / 2
    return slice(max(0, round(middle - reach)), min(size, round(middle + reach)))


def _window_sums(mask: npt.NDArray[np.bool_], side: int) -> npt.NDArray[np.int64]:
    """How many pixels of a mask lie in each square window: (H, W) to (H - side + 1, W - side + 1)."""
    sums = np.pad(mask.cumsum(0, dtype=np.int64).cumsum(1), ((1, 0), (1, 0)))
    found: npt.NDArray[np.int64] = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return found


def _keep_common(folder: Path, source: str) -> None:
    """Leave out classes that only one split has."""
    names = [{path.name for path in (folder / split).glob("*")} for split in ("train", "val")]
    common = names[0] & names[1]
    if len(common) < 2:
        shutil.rmtree(folder, ignore_errors=True)
        raise DatasetError(source, [f"{len(common)} classes have crops in train and in val; at least 2 are needed"])
    for split, found in zip(("train", "val"), names, strict=True):
        for name in found - common:
            shutil.rmtree(folder / split / name)


def _require_same(folder: Path, record: Mapping[str, object]) -> None:
    try:
        found = json.loads((folder / CROPS).read_bytes())
    except (OSError, ValueError):
        found = None
    if found != record:
        raise ValueError(f"{folder} holds no crops of this data and seed by these rules; delete it, or use another")
