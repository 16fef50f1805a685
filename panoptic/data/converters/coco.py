"""COCO 2017 as it is distributed: checked, and completed by the search's split and by the reference's semantic PNGs."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.coco.annotations import read_annotations
from autopanoptic.panoptic.data.coco.cuts import LARGEST_CUT
from autopanoptic.panoptic.data.converters.coco_things import write_things
from autopanoptic.panoptic.data.converters.instance_json import lost_annotations, read_instances
from autopanoptic.panoptic.data.converters.semantic_pngs import SemanticPng, write_semantic_pngs
from autopanoptic.panoptic.data.converters.writing.dataset import Writing, link
from autopanoptic.panoptic.data.converters.writing.marker import Marker, fingerprint
from autopanoptic.panoptic.data.converters.writing.search_split import draw_search_split, write_parts
from autopanoptic.panoptic.data.converters.writing.sources import require_counts, require_folder
from autopanoptic.panoptic.data.converters.writing.splits import Split, alone, chosen
from autopanoptic.panoptic.data.problems import DatasetError

RELEASE = {"train2017": 118_287, "val2017": 5_000}
"""Images of the splits with public annotations."""
INSTANCES = {"train2017": 860_001, "val2017": 36_781}
"""Their instances, crowds among them."""
CATEGORIES = {"things": 80, "stuff": 53}
TRAIN = "train2017"
Things = Literal["png", "instances"]
MARKER = "split.json"
"""File beside the search's split: what it was drawn from."""


def convert_coco(
    source: str | Path,
    target: str | Path | None = None,
    *,
    nas_val: int = LARGEST_CUT,
    seed: int = 0,
    semantic_pngs: bool = False,
    things: Things = "png",
    split: Split | None = None,
    whole: bool = True,
    writing: Writing | None = None,
) -> tuple[str, ...]:
    """Complete COCO 2017, which is in the format already, by the split that the search needs.

    Written are ``nas/{panoptic,instances}_nas_{train,val}2017.json``, the split that
    `autopanoptic.panoptic.data.coco.layout.Splits.open` draws for the same seed, and on request
    ``annotations/PanopticAnnotation/{train,val}2017/``, with 0 for any thing, 1 to 53 for stuff in the order of the
    categories and 255 for void. Where ``annotations/panoptic_{train,val}2017/`` are not there, but their archives are,
    these are unpacked.

    With ``things="instances"`` the images that networks are trained on, all of train2017 but nas_val, have the things
    of their instance JSON, polygons and RLE, which Auto-Panoptic's reference trains its instance branch with, over the
    stuff of their panoptic PNGs; see `write_things` for what lies on top of what. What PQ is measured on, nas_val and
    val, stays as it is distributed.

    Args:
        source: The folder with ``train2017/``, ``val2017/`` and ``annotations/``, in which there are
            ``instances_{train,val}2017.json``, ``panoptic_{train,val}2017.json`` and the PNGs of the latter.
        target: Where to write; the source itself by default, else a folder that links to the source.
        nas_val: Training images that are set aside for the search.
        seed: Decides which.
        semantic_pngs: Whether to write the semantic PNGs.
        things: Where things that networks are trained on come from: the panoptic PNGs (``"png"``) or the instance JSON
            (``"instances"``), for which a target is needed.
        split: The one to check and complete, which may be all that is there; None for both. For val alone no split of
            the search is written.
        whole: Whether all 118,287 and 5,000 images, 860,001 and 36,781 instances, and 80 thing and 53 stuff classes
            must be there, of the splits that are converted.
        writing: Processes and progress.

    Returns:
        Remarks: instances of which nothing is visible.

    Raises:
        FileNotFoundError: If files or folders are missing, with how to get them.
        DatasetError: If images or PNGs are missing, their number is another, or the JSONs do not fit each other.
        ValueError: If the split is another word, a JSON is none, there are too few images, or another draw was written
            before.
    """
    source, writing = Path(source), writing or Writing()
    target = source if target is None else Path(target)
    if things not in get_args(Things):
        raise ValueError(f"things={things!r} is none of {', '.join(get_args(Things))}")
    names = [f"{name}2017" for name in chosen(split)]
    own, linked = things == "instances", target.resolve() != source.resolve()
    if own and not linked:
        raise ValueError(
            "things='instances' writes other PNGs of train2017 than are distributed: give a folder for them"
        )
    if own and TRAIN not in names:
        raise ValueError("things='instances' is of train2017, which split='val' leaves out")
    _require_files(source, chosen(split))
    if linked:
        _link_source(source, target, names, [name for name in names if name != TRAIN or not own])
    pngs = {
        name: _unpacked(source, target / ("distributed" if own and name == TRAIN else "annotations"), name)
        for name in names
    }
    splits = {name: _Split.read(source, name, pngs[name]) for name in names}
    if whole:
        _require_release(source, splits)
    jsons = [source / "annotations" / f"{kind}_{name}.json" for kind in ("panoptic", "instances") for name in names]
    files = {"files": fingerprint(path.resolve() for path in jsons)}
    remarks: tuple[str, ...] = ()
    if TRAIN in names:
        taken = draw_search_split(splits[TRAIN].image_ids, nas_val, seed, source)
        made = {"from": "coco", "nas_val": nas_val, "seed": seed, "things": things, **files}
        if own:
            train = target / "annotations" / f"panoptic_{TRAIN}.json"
            remarks = write_things(train, _contents(source), pngs[TRAIN], taken, made, writing)
        _write_search_split(target, taken, made)
    if semantic_pngs:
        folder = target / "annotations" / "PanopticAnnotation"
        jobs = {name: one.semantic_pngs(folder / name) for name, one in splits.items()}
        write_semantic_pngs(folder, jobs, files, writing)
    return remarks


def _contents(source: Path) -> dict[str, dict[str, Any]]:
    return {kind: _load(source / "annotations" / f"{kind}_{TRAIN}.json") for kind in ("panoptic", "instances")}


def _write_search_split(target: Path, taken: set[Any], made: Mapping[str, Any]) -> None:
    marker = Marker(target / "nas" / MARKER, made)
    if marker.begin():
        return
    for kind in ("panoptic", "instances"):
        write_parts(target / "annotations" / f"{kind}_{TRAIN}.json", kind, "2017", taken, target / "nas")
    marker.finish()


def _require_release(source: Path, splits: Mapping[str, _Split]) -> None:
    """Compare what was counted with the release."""
    images, instances = ({name: release[name] for name in splits} for release in (RELEASE, INSTANCES))
    require_counts(source, {name: len(split.pngs) for name, split in splits.items()}, images)
    require_counts(source, {name: split.instances for name, split in splits.items()}, instances, "instances")
    found = next(iter(splits.values())).categories
    require_counts(source, {"things": len(found.things), "stuff": len(found.stuff)}, CATEGORIES, "classes")


def _require_files(source: Path, splits: Sequence[Split]) -> None:
    """FileNotFoundError with everything that is missing, and where it is to be had."""
    require_folder(source, "train2017/, val2017/ and annotations/")
    missing = {name: _missing_files(source, f"{name}2017") for name in splits}
    lacking = [file for files in missing.values() for file in files]
    if lacking:
        raise FileNotFoundError(
            f"{source} lacks {', '.join(lacking)}. COCO's page has the images as train2017.zip and val2017.zip, "
            "and the annotations as annotations_trainval2017.zip and panoptic_annotations_trainval2017.zip, all to be "
            f"unpacked in the same folder{alone(missing)}"
        )


def _missing_files(source: Path, split: str) -> list[str]:
    annotations = source / "annotations"
    jsons = [annotations / f"{kind}_{split}.json" for kind in ("instances", "panoptic")]
    missing = [str(path) for path in (source / split, *jsons) if not path.exists()]
    pngs = annotations / f"panoptic_{split}"
    if not pngs.is_dir() and not pngs.with_suffix(".zip").is_file():
        missing.append(f"{pngs} or its archive, .zip")
    return missing


def _link_source(source: Path, target: Path, splits: Sequence[str], panoptic: Sequence[str]) -> None:
    """Link what stays as it is: of the panoptic annotations those of some splits."""
    (target / "annotations").mkdir(parents=True, exist_ok=True)
    names = [*splits, *(f"annotations/instances_{split}.json" for split in splits)]
    names += [f"annotations/panoptic_{split}.json" for split in panoptic]
    names += [f"annotations/panoptic_{s}" for s in panoptic if (source / "annotations" / f"panoptic_{s}").is_dir()]
    for name in names:
        link(source / name, target / name)


def _unpacked(source: Path, target: Path, split: str) -> Path:
    """Return the folder of a split's PNGs, unpacked into the target where there is their archive alone."""
    given, folder = source / "annotations" / f"panoptic_{split}", target / f"panoptic_{split}"
    if given.is_dir():
        return given
    if folder.is_dir():
        return folder
    partial = folder.with_name(f".{folder.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    path = source / "annotations" / f"panoptic_{split}.zip"
    try:
        with zipfile.ZipFile(path) as archive:
            _unpack(archive, f"panoptic_{split}", partial)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{path}: cannot be unpacked ({error}); was it downloaded to its end?") from error
    if not any(partial.iterdir()):
        raise ValueError(f"{path} holds no panoptic_{split}/*.png; it is not the archive of that split's annotations")
    os.replace(partial, folder)
    return folder


def _unpack(archive: zipfile.ZipFile, folder: str, target: Path) -> None:
    for entry in archive.infolist():
        # The archive holds a folder of the Mac's finder as well.
        name = Path(entry.filename)
        png = target / name.name
        if name.parts[:1] != (folder,) or name.suffix != ".png":
            continue
        if not png.is_file() or png.stat().st_size != entry.file_size:
            with archive.open(entry) as packed, png.open("wb") as file:
                shutil.copyfileobj(packed, file)


@dataclass(frozen=True)
class _Split:
    """What the JSONs of a split say, after checks that all files are there and that they fit each other."""

    folder: Path
    categories: Categories
    image_ids: list[int]
    pngs: list[str]
    segments: list[tuple[tuple[int, int], ...]]
    instances: int

    @classmethod
    def read(cls, root: Path, name: str, folder: Path) -> _Split:
        path = root / "annotations" / f"panoptic_{name}.json"
        read_annotations(path)  # which says what is wrong with it
        panoptic = _load(path)
        things = root / "annotations" / f"instances_{name}.json"
        instances = read_instances(things)
        problems = _misfits(panoptic, instances, name)
        problems += _missing(root / name, (image["file_name"] for image in panoptic["images"]), "image")
        problems += _missing(folder, (entry["file_name"] for entry in panoptic["annotations"]), "PNG")
        if problems:
            raise DatasetError(str(path), problems)
        if lost := lost_annotations(instances):
            raise DatasetError(str(things), lost)
        return cls(
            folder,
            Categories.from_json(panoptic["categories"]),
            [image["id"] for image in panoptic["images"]],
            [entry["file_name"] for entry in panoptic["annotations"]],
            [tuple((s["id"], s["category_id"]) for s in e["segments_info"]) for e in panoptic["annotations"]],
            len(instances["annotations"]),
        )

    def semantic_pngs(self, target: Path) -> list[SemanticPng]:
        labels = self.categories.stuff_label
        return [
            SemanticPng(
                self.folder / png, target / png, tuple((i, labels.get(category, 0)) for i, category in segments)
            )
            for png, segments in zip(self.pngs, self.segments, strict=True)
        ]


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise DatasetError(str(path), [f"not valid JSON: {error}; was it downloaded to its end?"]) from error
    lacking = [k for k in ("images", "annotations", "categories") if not isinstance(content, dict) or k not in content]
    if lacking:
        raise DatasetError(str(path), [f"the key {key!r} is missing" for key in lacking])
    loaded: dict[str, Any] = content
    return loaded


def _misfits(panoptic: Mapping[str, Any], instances: Mapping[str, Any], split: str) -> list[str]:
    """Say where the two JSONs of a split are about other images or things."""
    ids = {name: {image["id"] for image in content["images"]} for name, content in _named(panoptic, instances)}
    annotated = {entry["image_id"] for entry in panoptic["annotations"]}
    problems = [
        f"image {i} is in {one}_{split}.json, but not in {other}_{split}.json"
        for one, other in (("panoptic", "instances"), ("instances", "panoptic"))
        for i in sorted(ids[one] - ids[other])
    ]
    problems += [f"image {i} has no panoptic annotation" for i in sorted(ids["panoptic"] - annotated)]
    things = {(c["id"], c["name"]) for c in panoptic["categories"] if c["isthing"]}
    counted = {(c["id"], c["name"]) for c in instances["categories"]}
    problems += [f"the thing {c} is in one of the JSONs of {split} only" for c in sorted(things ^ counted)]
    return problems


def _named(panoptic: Mapping[str, Any], instances: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [("panoptic", panoptic), ("instances", instances)]


def _missing(folder: Path, names: Any, kind: str) -> list[str]:
    with os.scandir(folder) as entries:
        present = {entry.name for entry in entries if entry.is_file()}  # not a link to nowhere
    return [f"{kind} file {folder / name} is missing" for name in names if name not in present]
