"""Cityscapes: from the instanceIds PNGs of gtFine, or from what cityscapesScripts' converter has made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image

from autopanoptic.panoptic.data.coco.images import DECODING_ERRORS, undecodable
from autopanoptic.panoptic.data.coco.panoptic_png import read_ids
from autopanoptic.panoptic.data.converters.cityscapes_labels import IGNORED, LABELS, categories
from autopanoptic.panoptic.data.converters.cityscapes_panoptic import read_panoptic_json
from autopanoptic.panoptic.data.converters.writing.conversion import Conversion, Converted
from autopanoptic.panoptic.data.converters.writing.dataset import SplitSource, Writing
from autopanoptic.panoptic.data.converters.writing.marker import fingerprint
from autopanoptic.panoptic.data.converters.writing.search_split import write_with_search
from autopanoptic.panoptic.data.converters.writing.sources import require_counts, require_folder, require_pairs
from autopanoptic.panoptic.data.converters.writing.splits import (
    Split,
    alone,
    chosen,
    missing_of,
    require_named,
    require_splits,
)
from autopanoptic.panoptic.data.problems import DatasetError

Source = Literal["auto", "instance-ids", "panoptic"]
RELEASE: dict[Split, int] = {"train": 2975, "val": 500}
"""Images with fine annotations."""
INSTANCES, IMAGES = "_gtFine_instanceIds.png", "_leftImg8bit.png"
FIRST_INSTANCE = 1000
"""Smaller values of an instanceIds PNG are labels: stuff, or a group of things that are not told apart."""


def convert_cityscapes(
    source: str | Path,
    target: str | Path,
    *,
    annotations: Source = "auto",
    train_ids: bool = False,
    nas_val: int | None = None,
    seed: int = 0,
    split: Split | None = None,
    whole: bool = True,
    writing: Writing | None = None,
) -> tuple[str, ...]:
    """Make a data set of Cityscapes' train and val with fine annotations.

    Segment ids are the values of the instanceIds PNGs, image ids such as frankfurt_000000_000294, and groups of things
    crowds, all as cityscapesScripts' createPanopticImgs has them. Labels that are not evaluated become void.

    Args:
        source: The folder with ``leftImg8bit/`` and ``gtFine/`` as they are distributed.
        target: The folder to make.
        annotations: What of ``gtFine/`` is read: ``instance-ids`` PNGs, the ``panoptic`` PNGs and JSONs that
            createPanopticImgs writes there, or ``auto``: the first, if they are there.
        train_ids: Whether the categories are 0 to 18 instead of the label ids 7 to 33; also which of the panoptic JSONs
            is read.
        nas_val: Training images that are set aside for the search; None for a tenth.
        seed: Decides which.
        split: The one to convert, which may be all that is there; None for both. With one, a folder that holds the
            instanceIds PNGs and the images itself is that split.
        whole: Whether all its images, 2,975 and 500, must be there.
        writing: Processes, links or copies, progress.

    Returns:
        Remarks about images.

    Raises:
        FileNotFoundError: If folders or annotations are missing.
        ValueError: If the split is another word, images are missing, their number is another, PNGs are damaged or hold
            unknown labels, panoptic JSONs are malformed or have other categories, or the target was made from something
            else.
    """
    source, target = Path(source), Path(target)
    if annotations not in get_args(Source):
        raise ValueError(f"annotations={annotations!r} is none of {', '.join(get_args(Source))}")
    if annotations == "auto":
        there = any((source / "gtFine").glob(f"*/*/*{INSTANCES}")) or any(source.glob(f"*{INSTANCES}"))
        annotations = "instance-ids" if there else "panoptic"
    names = chosen(split)
    if any(source.glob(f"*{INSTANCES}")):
        name = require_named(source, split, next(source.glob(f"*{INSTANCES}")).name)
        splits = [_instance_ids(source, source, name, train_ids)]
    elif annotations == "instance-ids":
        require_splits(source, {name: [source / kind / name for kind in ("gtFine", "leftImg8bit")] for name in names})
        splits = [_instance_ids(source / "gtFine" / n, source / "leftImg8bit" / n, n, train_ids) for n in names]
    else:
        _require_panoptic(source, names, train_ids)
        splits = [_panoptic(source, name, train_ids) for name in names]
    if whole:
        found = {one.name: len(one.conversions) for one in splits}
        require_counts(source, found, {name: RELEASE[name] for name in names})
    parameters = {
        "from": "cityscapes",
        "annotations": annotations,
        "train_ids": train_ids,
        "source": str(source.resolve()),
        "files": fingerprint(_files(splits)),
    }
    found_categories = categories(train_ids=train_ids)
    return write_with_search(target, found_categories, splits, parameters, writing or Writing(), nas_val, seed)


def _files(splits: Sequence[SplitSource]) -> list[Path]:
    conversions = [conversion for split in splits for conversion in split.conversions]
    return [c.path for c in conversions if isinstance(c, (_FromInstanceIds, _FromPanoptic))]


def _instance_ids(truths: Path, images: Path, name: Split, train_ids: bool) -> SplitSource:
    names = require_pairs(truths, INSTANCES, {"image": (images, IMAGES)})
    return SplitSource(
        name,
        images,
        [
            _FromInstanceIds(
                image_id=Path(stem).name,
                image_file=stem + IMAGES,
                png_file=f"{Path(stem).name}_gtFine_panoptic.png",
                path=truths / (stem + INSTANCES),
                train_ids=train_ids,
            )
            for stem in names
        ],
    )


@dataclass(frozen=True)
class _FromInstanceIds(Conversion):
    path: Path
    train_ids: bool

    def convert(self) -> Converted:
        values = _read_values(self.path)
        present = np.unique(values).tolist()
        labels = {value: value // FIRST_INSTANCE if value >= FIRST_INSTANCE else value for value in present}
        known = {label.id: label for label in LABELS}
        unknown = sorted({label for label in labels.values() if label not in known and label not in IGNORED})
        if unknown:
            raise ValueError(f"{self.path}: holds the labels {unknown[:10]}, which Cityscapes does not have")
        kept = {value: known[label] for value, label in labels.items() if label in known}
        return Converted(
            ids=np.where(np.isin(values, list(kept)), values, 0),
            categories={value: label.train_id if self.train_ids else label.id for value, label in kept.items()},
            crowds=[value for value, label in kept.items() if label.isthing and value < FIRST_INSTANCE],
        )


def _read_values(path: Path) -> Any:
    try:
        with Image.open(path) as image:
            values = np.array(image)
    except DECODING_ERRORS as error:
        raise undecodable(path, error) from error
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.integer):
        raise ValueError(f"{path}: an instanceIds PNG is grey with 16 bits, not {values.dtype} of shape {values.shape}")
    return values.astype(np.int64)


def _panoptic_json(source: Path, name: Split, train_ids: bool) -> Path:
    return source / "gtFine" / f"cityscapes_panoptic_{name}{'_trainId' if train_ids else ''}.json"


def _require_panoptic(source: Path, names: Sequence[Split], train_ids: bool) -> None:
    missing = missing_of({name: [_panoptic_json(source, name, train_ids)] for name in names})
    lacking = [name for name, paths in missing.items() if paths]
    if lacking:
        jsons = ", ".join(_panoptic_json(source, name, train_ids).name for name in lacking)
        raise FileNotFoundError(
            f"{source / 'gtFine'} holds neither {' nor '.join(lacking)}/CITY/*{INSTANCES}, as they are distributed, "
            f"nor {jsons}, as cityscapesScripts' createPanopticImgs writes it{alone(missing)}"
        )


def _panoptic(source: Path, name: Split, train_ids: bool) -> SplitSource:
    images = require_folder(source / "leftImg8bit" / name, f"a folder for each city with *{IMAGES}")
    path = _panoptic_json(source, name, train_ids)
    content = read_panoptic_json(path)
    _require_categories(path, content, train_ids)
    pngs = require_folder(path.with_suffix(""), "the PNGs of " + path.name)
    conversions = [_FromPanoptic.of(entry, pngs) for entry in content["annotations"]]
    problems = [
        f"{kind} file {file} is missing"
        for conversion in conversions
        for kind, file in (("image", images / conversion.image_file), ("PNG", conversion.path))
        if not file.is_file()
    ]
    if problems:
        raise DatasetError(str(path), problems)
    return SplitSource(name, images, conversions)


def _require_categories(path: Path, content: dict[str, Any], train_ids: bool) -> None:
    wanted = {(c.id, c.name, int(c.isthing)) for c in categories(train_ids=train_ids)}
    found = {(c["id"], c["name"], c["isthing"]) for c in content["categories"]}
    if found != wanted:
        first = sorted(found ^ wanted)[0]
        raise ValueError(f"{path}: its categories are not Cityscapes': {first} is among one of them only")


@dataclass(frozen=True)
class _FromPanoptic(Conversion):
    path: Path
    segments: tuple[tuple[int, int, bool], ...]

    @classmethod
    def of(cls, entry: dict[str, Any], pngs: Path) -> _FromPanoptic:
        image_id = entry["image_id"]
        return cls(
            image_id=image_id,
            # The JSON's own file_name, X_gtFine_leftImg8bit.png, is that of no file.
            image_file=f"{image_id.split('_')[0]}/{image_id}{IMAGES}",
            png_file=entry["file_name"],
            path=pngs / entry["file_name"],
            segments=tuple((s["id"], s["category_id"], bool(s["iscrowd"])) for s in entry["segments_info"]),
        )

    def convert(self) -> Converted:
        ids = read_ids(self.path)
        categories = {segment: category for segment, category, _ in self.segments}
        unknown = set(np.unique(ids).tolist()) - {0, *categories}
        if unknown:
            raise ValueError(f"{self.path}: holds the ids {sorted(unknown)[:10]}, which its JSON does not have")
        return Converted(ids, categories, [segment for segment, _, crowd in self.segments if crowd])
