"""A folder for each trial of a search."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from autopanoptic.nas.storage.files import whole

OWNER = "search.txt"
"""The file that says which search the folders are of."""
NAME = re.compile(r"trial-(0|[1-9]\d{0,17})")
REMOVED = ".removed-"


class TrialFolders:
    """The folders of a search's trials; each is made when it is used.

    Args:
        path: where they lie. A relative one is taken from the folder in which the program is now.
        search_id: of the search, which stays the same when it goes on from its journal.

    Raises:
        ValueError: when the folders there are those of another search.
    """

    def __init__(self, path: str | Path, search_id: str) -> None:
        self.path = Path(path).absolute()
        self._search_id = search_id
        self._check()

    def of(self, trial_id: int) -> Path:
        """Return where a trial's folder is; it may not be there yet, or any more."""
        return self.path / f"trial-{trial_id}"

    def claim(self) -> None:
        """Make the folder of all folders, and write down whose it is.

        Raises:
            ValueError: when it is another search's by now.
            OSError: when it cannot be made.
        """
        owner = self.path / OWNER
        if not owner.exists():
            with whole(owner) as partial:
                partial.write_text(f"{self._search_id}\n")
        self._check()

    def _check(self) -> None:
        owner = self.path / OWNER
        found = owner.read_text().strip() if owner.exists() else self._search_id
        if found != self._search_id:
            raise ValueError(
                f"{self.path} has the folders of another search, {found}. Give another folder=, or go on with that "
                "search by its journal. (Without a journal each search is another one.)"
            )

    def remove(self, trial_id: int) -> None:
        """Remove a trial's folder, where it is there; a kill leaves nothing half under its name.

        Raises:
            OSError: when it cannot be removed.
        """
        gone = self.path / f"{REMOVED}{trial_id}"
        _remove(gone)
        try:
            os.replace(self.of(trial_id), gone)
        except FileNotFoundError:
            return
        _remove(gone)

    def sweep(self) -> None:
        """Remove what an interrupted removal has left."""
        for path in self.path.glob(f"{REMOVED}*"):
            _remove(path)

    def __iter__(self) -> Iterator[int]:
        """Iterate over the ids of the trials that have a folder, in ascending order."""
        names = (path.name for path in self.path.glob("trial-*"))
        found = [int(match[1]) for match in map(NAME.fullmatch, names) if match]
        return iter(sorted(found))


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
