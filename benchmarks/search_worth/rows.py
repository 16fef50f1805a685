"""The rows of the study: a small JSON file each, which is there as soon as what it tells has ended."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autopanoptic.panoptic.results.json_files import read_object, write_object

FOLDER = Path("benchmarks/results/search_worth")
Values = dict[str, Any]


class Rows:
    """Rows by their names, such as ``worth/scenes/seed-0/run``.

    Args:
        folder: Where they are; a row's file is its name with ``.json``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """Return the file of a row, be it there or not."""
        return self.folder / f"{name}.json"

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.path(name).exists()

    def __getitem__(self, name: str) -> Values:
        """Return a row.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it is damaged.
        """
        return read_object(self.path(name))

    def get(self, name: str) -> Values | None:
        """Return a row; None where there is none."""
        if name not in self:
            return None
        return self[name]

    def put(self, name: str, values: Mapping[str, Any]) -> None:
        """Write a row, which is whole or not there."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_object(path, values)

    def under(self, start: str) -> dict[str, Values]:
        """Return the rows whose names lie under a start, without it, in the order of their names."""
        root = self.folder / start
        names = sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("[!.]*.json"))
        return {name: self[f"{start}/{name}"] for name in names}

    def require(self, name: str, settings: str) -> None:
        """Refuse a row that is of other settings than the study's: its figures are of something else.

        Args:
            name: Of the row.
            settings: What the study's settings come to, see `Problem.digest`.

        Raises:
            ValueError: If it is; names the file.
        """
        found = self[name].get("settings")
        if found != settings:
            raise ValueError(
                f"{self.path(name)} is of other settings ({found}) than the study has now ({settings}): delete it to "
                "have it made anew, or take another folder with --results"
            )
