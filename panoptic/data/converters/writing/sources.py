"""Looks whether the files of a data set are there, before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import TiffImageFile

from autopanoptic.panoptic.data.coco.images import DECODING_ERRORS, Orientation
from autopanoptic.panoptic.data.problems import DatasetError

SIDES_EXCHANGED = range(5, 9)
"""EXIF orientations that exchange height and width."""


def require_folder(folder: Path, what: str) -> Path:
    """Return a folder; FileNotFoundError with what it should hold and what lies beside it if it is not there."""
    if not folder.is_dir():
        beside = sorted(path.name for path in folder.parent.iterdir())[:20] if folder.parent.is_dir() else []
        near = f"{folder.parent} holds {', '.join(beside) or 'nothing'}" if beside else f"nor is {folder.parent}"
        raise FileNotFoundError(f"{folder}: there is no such folder; it should hold {what}; {near}")
    return folder


def require_pairs(folder: Path, suffix: str, partners: Mapping[str, tuple[Path, str]]) -> list[str]:
    """Return the names of the files of a folder without their suffix, sorted, all of which have their partners.

    Args:
        folder: Searched with its sub-folders; names are relative to it, with forward slashes.
        suffix: How the files end.
        partners: For each kind of partner its folder and suffix; it has the same relative name otherwise.

    Raises:
        FileNotFoundError: If there are no such files.
        DatasetError: With all partners that are missing.
    """
    names = sorted(p.relative_to(folder).as_posix().removesuffix(suffix) for p in folder.rglob(f"*{suffix}"))
    names = [name for name in names if not Path(name).name.startswith(".")]
    if not names:
        raise FileNotFoundError(f"{folder} holds no files *{suffix}")
    problems = [
        f"{folder / (name + suffix)} has no {kind} {other / (name + ending)}"
        for kind, (other, ending) in partners.items()
        for name in names
        if not (other / (name + ending)).is_file()
    ]
    if problems:
        raise DatasetError(str(folder), problems)
    return names


def require_counts(source: Path, found: Mapping[str, int], expected: Mapping[str, int], what: str = "images") -> None:
    """Compare numbers, of images for instance, with those of the release; DatasetError with all that differ."""
    problems = [
        f"{name} has {found[name]:,} {what}, where the release has {number:,}; download what is missing, or say "
        "that it is a part of it (--part, whole=False)"
        for name, number in expected.items()
        if found[name] != number
    ]
    if problems:
        raise DatasetError(str(source), problems)


def image_size(path: Path, orientation: Orientation) -> tuple[int, int]:
    """Return height and width of an image in pixels from its header, as the reader of that orientation sees it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not an image.
    """
    try:
        with Image.open(path) as image:
            width, height = _stored_size(image)
            turned = image.getexif().get(ExifTags.Base.Orientation) in SIDES_EXCHANGED
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such file") from None
    except DECODING_ERRORS as error:
        raise ValueError(f"{path}: cannot be read ({error}); the file is damaged or not an image") from error
    return (width, height) if turned and orientation == "apply" else (height, width)


def _stored_size(image: Image.Image) -> tuple[int, int]:
    """Width and height before any turning; of TIFFs alone Pillow may give those after it."""
    if isinstance(image, TiffImageFile):
        return image.tag_v2[ExifTags.Base.ImageWidth], image.tag_v2[ExifTags.Base.ImageLength]
    return image.size
