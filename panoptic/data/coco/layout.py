"""Finds the splits of a data set on disk: standard COCO folders, or one folder that serves as all splits.

Standard, with ``{split}`` in train, nas_val and val, optionally followed by 2017:

- ``annotations/panoptic_{split}.json``; for the search's own split also ``nas/panoptic_nas_train.json`` and
  ``nas/panoptic_nas_val.json``
- PNGs in ``annotations/panoptic_{split}/`` or ``panoptic_{split}/``
- images in ``{split}/`` or ``images/{split}/``

One set: ``NAME.json``, PNGs in ``NAME/``, images in ``input_images/`` (as in panopticapi's sample data).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from autopanoptic.panoptic.data.coco.converted import recorded_orientation
from autopanoptic.panoptic.data.coco.cuts import default_cut, drawn
from autopanoptic.panoptic.data.coco.images import Orientation
from autopanoptic.panoptic.data.coco.reader import CocoPanoptic

SPLITS = ("train", "nas_val", "val")


@dataclass(frozen=True)
class Location:
    """Where one set lies.

    Attributes:
        images: Folder of the images.
        segmentations: Folder of the PNGs.
        annotations: The JSON.
        orientation: How the images are read, as the converter that made the folder has recorded; see `CocoPanoptic`.
    """

    images: Path
    segmentations: Path
    annotations: Path
    orientation: Orientation = "apply"

    def open(self, orientation: Orientation | None = None) -> CocoPanoptic:
        """Reads the JSON and checks that all files exist; errors as of `CocoPanoptic`.

        Args:
            orientation: As of `CocoPanoptic`; None for what is recorded.
        """
        how = self.orientation if orientation is None else orientation
        return CocoPanoptic(self.images, self.segmentations, self.annotations, orientation=how)


@dataclass(frozen=True)
class Datasets:
    """The three opened splits.

    Attributes:
        train: What networks are trained on.
        nas_val: What candidates are compared on; shares no image with train, unless `overfit`.
        val: What found networks are reported on.
        overfit: Whether all three are the same images, so that results say nothing about new images.
    """

    train: CocoPanoptic
    nas_val: CocoPanoptic
    val: CocoPanoptic
    overfit: bool


@dataclass(frozen=True)
class Splits:
    """Where the splits of a data set lie.

    Attributes:
        train: The training split, or the whole of which nas_val is cut.
        nas_val: The search's validation split; None if it is to be cut from train.
        val: The split for the final figures.
        overfit: Whether all three are one set.
    """

    train: Location
    nas_val: Location | None
    val: Location
    overfit: bool = False

    def open(self, seed: int = 0, *, orientation: Orientation | None = None) -> Datasets:
        """Opens the splits. Order and colours of the categories are those of train, for all three.

        Without a nas_val split of its own, nas_val is cut from train: 5,000 images, or a tenth if that is less,
        drawn by the seed from the images in the order of their ids. Images that a given nas_val shares with
        train are left out of train.

        Args:
            seed: Decides the cut.
            orientation: As of `CocoPanoptic`, for all splits; None for what the folder records.

        Raises:
            FileNotFoundError: If a file or folder is missing.
            ValueError: If a split breaks the format, the splits' categories differ in more than order and colours,
                or train is too small to cut.
        """
        whole = self.train.open(orientation)
        if self.overfit:
            return Datasets(whole, whole, whole, overfit=True)
        if self.nas_val is None:
            train, nas_val = cut(whole, seed)
        else:
            nas_val = self.nas_val.open(orientation)
            # The same folder, though by other names or through links.
            same = self.nas_val.images.resolve() == self.train.images.resolve()
            train = _without(whole, nas_val) if same else whole
        val = self.val.open(orientation)
        nas_val, val = (other.with_categories_of(whole) for other in (nas_val, val))
        return Datasets(train, nas_val, val, overfit=False)


def cut(dataset: CocoPanoptic, seed: int) -> tuple[CocoPanoptic, CocoPanoptic]:
    """Cuts a set in two: what remains, and 5,000 images or a tenth (at least one), whichever is less.

    The cut depends on the seed and the image ids, not on the order of the JSON.

    Raises:
        ValueError: If there are fewer than two images.
    """
    if len(dataset) < 2:
        raise ValueError(f"{dataset.source} has {len(dataset)} image: at least 2 are needed to cut nas_val from it")
    taken = set(drawn(dataset.image_ids, default_cut(len(dataset)), seed))
    indices = range(len(dataset))
    return dataset.subset([i for i in indices if i not in taken]), dataset.subset(sorted(taken))


def find_splits(root: str | Path) -> Splits:
    """Finds train, nas_val and val under a folder; see the module for what is recognised.

    Raises:
        FileNotFoundError: If something is missing; the message says what was looked for and what is there.
        ValueError: If the layout is ambiguous.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: there is no such folder")
    if _json(root, "train") or _json(root, "val") or _json(root, "nas_train"):
        return _standard(root)
    return _single(root)


def find_split(root: str | Path, split: str = "val") -> Location:
    """Find one split under a folder that need not hold the others; the whole, where all splits are one set.

    Args:
        root: The folder; see the module for what is recognised.
        split: ``"train"``, ``"nas_val"`` or ``"val"``.

    Raises:
        FileNotFoundError: If it is missing; the message says what was looked for and what is there.
        ValueError: If the layout is ambiguous, or the split is another word.
    """
    root = Path(root)
    if split not in SPLITS:
        raise ValueError(f"split={split!r} is none of {', '.join(SPLITS)}")
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: there is no such folder")
    if any(_json(root, name) for name in (*SPLITS, "nas_train")):
        return _locate(root, split)
    return _single(root).val


def _standard(root: Path) -> Splits:
    nas_train, nas_val = _json(root, "nas_train"), _json(root, "nas_val")
    if nas_train and not nas_val:
        raise FileNotFoundError(
            f"{nas_train} exists, but not the nas_val that belongs to it ({_looked_for('nas_val')})"
        )
    return Splits(
        train=_locate(root, "nas_train" if nas_train else "train"),
        nas_val=_locate(root, "nas_val") if nas_val else None,
        val=_locate(root, "val"),
    )


def _single(root: Path) -> Splits:
    found = sorted(path for path in root.glob("*.json") if path.with_suffix("").is_dir())
    if not found:
        raise FileNotFoundError(
            f"no COCO panoptic data in {root}; looked for annotations/panoptic_train.json and panoptic_val.json "
            "(or train2017, val2017), and for NAME.json beside a folder NAME of PNGs and input_images/; "
            f"{_contents(root)}"
        )
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise ValueError(f"{root} holds several sets ({names}); keep one, or use annotations/panoptic_train.json etc.")
    images = _folder(root, ["input_images", "images"], "images")
    location = Location(images, found[0].with_suffix(""), found[0], recorded_orientation(root))
    return Splits(location, location, location, overfit=True)


def _names(split: str) -> tuple[str, str]:
    return f"{split}2017", split


def _json_candidates(split: str) -> list[str]:
    folders = ("nas", "annotations") if split.startswith("nas_") else ("annotations",)
    return [f"{folder}/panoptic_{name}.json" for folder in folders for name in _names(split)]


def _json(root: Path, split: str) -> Path | None:
    return next((root / name for name in _json_candidates(split) if (root / name).is_file()), None)


def _looked_for(split: str) -> str:
    return "looked for " + ", ".join(_json_candidates(split))


def _locate(root: Path, split: str) -> Location:
    annotations = _json(root, split)
    if annotations is None:
        raise FileNotFoundError(
            f"{root} has no {split} split ({_looked_for(split)}); {_contents(root / 'annotations')}"
        )
    # The search's splits are usually parts of train and share its folders.
    own = annotations.stem.removeprefix("panoptic_")
    names = [own, *_names("train")] if split.startswith("nas_") else [own]
    png_folders = [f"{parent}panoptic_{name}" for name in names for parent in ("annotations/", "")]
    image_folders = [f"{parent}{name}" for name in names for parent in ("", "images/")]
    return Location(
        _folder(root, image_folders, f"images of {annotations.name}"),
        _folder(root, png_folders, f"PNGs of {annotations.name}"),
        annotations,
        recorded_orientation(root),
    )


def _folder(root: Path, candidates: Iterable[str], what: str) -> Path:
    candidates = list(candidates)
    for name in candidates:
        if (root / name).is_dir():
            return root / name
    raise FileNotFoundError(
        f"{root} has no folder with the {what}: looked for {', '.join(candidates)}; {_contents(root)}"
    )


def _contents(folder: Path, limit: int = 20) -> str:
    if not folder.is_dir():
        return f"there is no folder {folder}"
    names = sorted(path.name + ("/" if path.is_dir() else "") for path in folder.iterdir())
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"{folder} holds {', '.join(names[:limit]) or 'nothing'}{more}"


def _without(whole: CocoPanoptic, part: CocoPanoptic) -> CocoPanoptic:
    # Not np.isin, for which the text "1" would equal the number 1.
    taken = set(part.image_ids.tolist())
    kept = [index for index, image_id in enumerate(whole.image_ids.tolist()) if image_id not in taken]
    if not kept:
        raise ValueError(f"{part.source} holds every image of {whole.source}: nothing is left to train on")
    return whole.subset(kept)
