"""A folder for each trial of a search."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from autopanoptic.nas.storage.files import whole

OWNER = "search.txt"
"""The file that says which search the folders are of."""
LOST = "removed.txt"
"""The file that names the trials which were paused when their folders were removed."""
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

    def remove_paused(self, trial_ids: Iterable[int]) -> None:
        """Remove the folders of trials that are paused, and write down which had one.

        Raises:
            OSError: when one cannot be removed.
        """
        found = [trial_id for trial_id in trial_ids if self.of(trial_id).exists()]
        if found:
            with whole(self.path / LOST) as partial:  # first, so that no kill leaves a trial whose loss nobody knows
                partial.write_text("".join(f"{trial_id}\n" for trial_id in sorted({*self._lost(), *found})))
        for trial_id in found:
            self.remove(trial_id)

    def has_lost(self, trial_id: int, location: Path) -> bool:
        """Return whether a trial was paused when what it had in its folder was removed, and has nothing there yet.

        Args:
            trial_id: of the trial.
            location: its folder, or that in it of one of its evaluations.
        """
        return not location.exists() and trial_id in self._lost()

    def _lost(self) -> list[int]:
        path = self.path / LOST
        return [int(line) for line in path.read_text().split()] if path.exists() else []

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
