"""ADE20K, 100 things and 50 stuff classes: from the challenges' release, or from the full one with its 3,688 names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from autopanoptic.panoptic.data.coco.images import DECODING_ERRORS, undecodable
from autopanoptic.panoptic.data.converters.ade20k_classes import CLASSES, OF_NUMBER, THINGS, categories
from autopanoptic.panoptic.data.converters.writing.conversion import Conversion, Converted
from autopanoptic.panoptic.data.converters.writing.dataset import SplitSource, Writing
from autopanoptic.panoptic.data.converters.writing.marker import fingerprint
from autopanoptic.panoptic.data.converters.writing.search_split import write_with_search
from autopanoptic.panoptic.data.converters.writing.sources import image_size, require_counts, require_pairs
from autopanoptic.panoptic.data.converters.writing.splits import Split, chosen, require_named, require_splits

FOLDERS: dict[Split, str] = {"train": "training", "val": "validation"}
"""Our names, and those of the folders of both releases."""
KINDS = "images", "annotations", "annotations_instance"
"""Folders of the challenges' release."""
CHALLENGE: dict[Split, int] = {"train": 20_210, "val": 2_000}
FULL: dict[Split, int] = {"train": 25_574, "val": 2_000}
"""Images of the releases."""
SEGMENTATION = "_seg.png"
"""How the full release's PNGs end."""
NUMBERS_PER_STEP, STEP = 256, 10
"""A class number of the full release is R / 10 * 256 + G."""


def convert_ade20k(
    source: str | Path,
    target: str | Path,
    *,
    nas_val: int | None = None,
    seed: int = 0,
    split: Split | None = None,
    whole: bool = True,
    writing: Writing | None = None,
) -> tuple[str, ...]:
    """Make a data set of ADE20K's training and validation images. Pixels of none of the 150 classes become void.

    PNGs are of images as they are stored, so that these are to be read with ``orientation="ignore"``, which the folder
    says to all who open it.

    Two releases are recognised:

    - ADEChallengeData2016: ``images/``, ``annotations/`` (grey PNGs, 0 for other classes, else 1 to 150) and
      ``annotations_instance/`` (RGB PNGs of the Places Challenge 2017: R the class of the thing, 1 to 100, and G the
      number of the instance in the image). Stuff is painted first and instances over it, as Mask2Former's converter
      does; pixels of a thing class without an instance are void.
    - The full one of 2021 (ADE20K_2021_17_01): ``images/ADE/{training,validation}/*/*/`` with X.jpg and X_seg.png
      (R / 10 * 256 + G is the number of the class, B tells the objects of an image apart). With a split, a folder that
      holds X.jpg and X_seg.png itself is that split.

    Args:
        source: The folder of a release.
        target: The folder to make.
        nas_val: Training images that are set aside for the search; None for a tenth.
        seed: Decides which.
        split: The one to convert, which may be all that is there; None for both.
        whole: Whether all its images must be there: 20,210 and 2,000, or 25,574 and 2,000 of the full release.
        writing: Processes, links or copies, progress.

    Returns:
        Remarks about images.

    Raises:
        FileNotFoundError: If the folder holds neither release, or folders of a split are missing.
        ValueError: If the split is another word, images are missing, their number is another, PNGs are damaged or hold
            unknown classes, or the target was made from something else.
    """
    source, target = Path(source), Path(target)
    names = chosen(split)
    full = _full_root(source)
    if full is None:
        splits = _challenge_splits(source, names)
    elif any(source.glob(f"*{SEGMENTATION}")):
        name = require_named(source, split, next(source.glob(f"*{SEGMENTATION}")).name)
        splits = [_full_split(source, name)]
    else:
        require_splits(source, {name: [full / FOLDERS[name]] for name in names})
        splits = [_full_split(full / FOLDERS[name], name) for name in names]
    if whole:
        release = CHALLENGE if full is None else FULL
        require_counts(
            source, {one.name: len(one.conversions) for one in splits}, {name: release[name] for name in names}
        )
    parameters = {
        "from": "ade20k, challenges" if full is None else "ade20k, full release",
        "source": str(source.resolve()),
        "files": fingerprint(_files(splits)),
    }
    return write_with_search(
        target, categories(), splits, parameters, writing or Writing(), nas_val, seed, orientation="ignore"
    )


def _files(splits: Sequence[SplitSource]) -> list[Path]:
    conversions = [conversion for split in splits for conversion in split.conversions]
    return [path for c in conversions if isinstance(c, (_FromChallenge, _FromFull)) for path in c.sources()]


def _full_root(source: Path) -> Path | None:
    """Return the folder of the full release that has training/ and validation/, or all files; None for the challenges'.

    FileNotFoundError if it is neither.
    """
    for root in (source / "images" / "ADE", source):
        if any(next((root / folder).glob(f"*/*/*{SEGMENTATION}"), None) for folder in FOLDERS.values()):
            return root
    if any(source.glob(f"*{SEGMENTATION}")):
        return source
    if all((source / kind).is_dir() for kind in KINDS):
        return None
    names = sorted(path.name for path in source.iterdir())[:20] if source.is_dir() else []
    raise FileNotFoundError(
        f"{source} holds {', '.join(names) or 'nothing'}: neither images/, annotations/ and annotations_instance/ with "
        "training/ and validation/ in each (ADEChallengeData2016 and, from the Places Challenge 2017, "
        "annotations_instance.tar), nor images/ADE/training/*/*/*_seg.png (ADE20K_2021_17_01)"
    )


def _challenge_splits(source: Path, names: Sequence[Split]) -> list[SplitSource]:
    require_splits(source, {name: [source / kind / FOLDERS[name] for kind in KINDS] for name in names})
    return [_challenge_split(source, name) for name in names]


def _challenge_split(source: Path, name: Split) -> SplitSource:
    images, semantic, instances = (source / kind / FOLDERS[name] for kind in KINDS)
    partners = {"semantic PNG": (semantic, ".png"), "instance PNG": (instances, ".png")}
    stems = require_pairs(images, ".jpg", partners)
    return SplitSource(
        name,
        images,
        [
            _FromChallenge(
                image_id=Path(stem).name,
                image_file=f"{stem}.jpg",
                png_file=f"{Path(stem).name}.png",
                image=images / f"{stem}.jpg",
                semantic=semantic / f"{stem}.png",
                instances=instances / f"{stem}.png",
            )
            for stem in stems
        ],
    )


@dataclass(frozen=True)
class _FromChallenge(Conversion):
    image: Path
    semantic: Path
    instances: Path

    def sources(self) -> tuple[Path, ...]:
        return self.semantic, self.instances

    def convert(self) -> Converted:
        semantic, instances = _read(self.semantic, 2), _read(self.instances, 3)
        _require_size(self.image, {self.semantic: semantic, self.instances: instances})
        _require_range(self.semantic, semantic, len(CLASSES), "class")
        _require_range(self.instances, instances[:, :, 0], len(THINGS), "class of a thing")
        stuff = np.array([-1, *(-1 if each.isthing else i for i, each in enumerate(CLASSES))])[semantic]
        things = np.array([-1, *THINGS])[instances[:, :, 0]]
        numbers = instances[:, :, 1].astype(np.int64)
        # Segment ids: 1 to 150 are stuff, and 256 times the class and the number of the instance things.
        is_thing = (numbers > 0) & (things >= 0)
        ids = np.where(is_thing, (things + 1) * 256 + numbers, stuff + 1)
        found = {i: i // 256 - 1 if i >= 256 else i - 1 for i in np.unique(ids).tolist() if i}
        several = len({i % 256 for i in found if i >= 256}) != sum(i >= 256 for i in found)
        remark = f"{self.instances}: holds an instance of several classes, which becomes one of each"
        return Converted(ids, found, remarks=(remark,) if several else ())


def _full_split(images: Path, name: Split) -> SplitSource:
    stems = require_pairs(images, SEGMENTATION, {"image": (images, ".jpg")})
    return SplitSource(
        name,
        images,
        [
            _FromFull(
                image_id=Path(stem).name,
                image_file=f"{stem}.jpg",
                png_file=f"{Path(stem).name}.png",
                image=images / f"{stem}.jpg",
                segmentation=images / (stem + SEGMENTATION),
            )
            for stem in stems
        ],
    )


@dataclass(frozen=True)
class _FromFull(Conversion):
    image: Path
    segmentation: Path

    def sources(self) -> tuple[Path, ...]:
        return (self.segmentation,)

    def convert(self) -> Converted:
        values = _read(self.segmentation, 3).astype(np.int64)
        _require_size(self.image, {self.segmentation: values})
        numbers = values[:, :, 0] // STEP * NUMBERS_PER_STEP + values[:, :, 1]
        pairs = numbers * 256 + values[:, :, 2]
        # A table of all pairs that there can be is several times faster than sorting millions of pixels.
        table = np.zeros((255 // STEP + 1) * NUMBERS_PER_STEP * 256, dtype=np.int64)
        ids: dict[tuple[int, int], int] = {}
        categories: dict[int, int] = {}
        for pair in np.flatnonzero(np.bincount(pairs.ravel(), minlength=len(table))).tolist():
            category = OF_NUMBER.get(pair // 256)
            if category is None:
                continue
            # All of a stuff class is one segment; B alone tells things apart.
            key = (category, pair % 256 if CLASSES[category].isthing else -1)
            table[pair] = ids.setdefault(key, len(ids) + 1)
            categories[ids[key]] = category
        return Converted(table[pairs], categories)


def _read(path: Path, dimensions: int) -> npt.NDArray[Any]:
    """Decode a PNG of 8 bits, grey (two dimensions) or RGB (three)."""
    try:
        with Image.open(path) as image:
            values = np.array(image)
    except DECODING_ERRORS as error:
        raise undecodable(path, error) from error
    if values.dtype != np.uint8 or values.ndim != dimensions or values.shape[2:] not in ((), (3,)):
        kind = "grey" if dimensions == 2 else "RGB"
        raise ValueError(f"{path}: is {values.dtype} of shape {values.shape}, where {kind} of 8 bits is distributed")
    return values


def _require_size(image: Path, decoded: dict[Path, npt.NDArray[Any]]) -> None:
    size = image_size(image, "ignore")
    for path, values in decoded.items():
        if values.shape[:2] != size:
            raise ValueError(f"{path}: has height and width {values.shape[:2]}, but {image} has {size}")


def _require_range(path: Path, values: npt.NDArray[Any], most: int, what: str) -> None:
    if values.size and values.max() > most:
        raise ValueError(f"{path}: holds {int(values.max())} as a {what}, but there are {most}")
