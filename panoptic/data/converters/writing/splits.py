"""Which splits of a release are converted: both, or the one that is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

Split = Literal["train", "val"]
SPLITS: tuple[Split, ...] = ("train", "val")


def chosen(split: Split | None) -> tuple[Split, ...]:
    """Return the splits to convert: the one that is named, or both.

    Raises:
        ValueError: If it is another word.
    """
    if split is None:
        return SPLITS
    if split not in SPLITS:
        raise ValueError(f"split={split!r} is none of {', '.join(SPLITS)}; leave it out to convert both")
    return (split,)


def missing_of(places: Mapping[Split, Sequence[Path]]) -> dict[Split, list[Path]]:
    """Return which of the files or folders of each split are not there."""
    return {split: [path for path in paths if not path.exists()] for split, paths in places.items()}


def alone(missing: Mapping[Split, Sequence[object]]) -> str:
    """Return the end of an error's message: how to convert what is there, where one split of two lacks nothing."""
    whole = [split for split, lacking in missing.items() if not lacking]
    if len(whole) != 1 or len(missing) == 1:
        return ""
    return f". {whole[0]} lacks nothing: --split {whole[0]} (split={whole[0]!r}) converts it alone"


def require_splits(source: Path, places: Mapping[Split, Sequence[Path]]) -> None:
    """Look whether the folders of all splits that are to be converted are there.

    Raises:
        FileNotFoundError: Names all that are missing, and the split that could be converted alone.
    """
    missing = missing_of(places)
    lacking = [str(path) for paths in missing.values() for path in paths]
    if lacking:
        raise FileNotFoundError(f"{source} lacks {', '.join(lacking)}{alone(missing)}")


def require_named(source: Path, split: Split | None, example: str) -> Split:
    """Return which split the files of a folder without one for each are.

    Raises:
        ValueError: If it is not said.
    """
    if split is None:
        raise ValueError(
            f"{source} holds files such as {example}, but no folder for each split: say which they are by --split "
            "train or --split val (split='train' or split='val')"
        )
    return split
