"""An Optuna storage that follows a running search."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from autopanoptic.nas.results._optuna import quiet, require_optuna
from autopanoptic.nas.results.optuna_export import export_optuna, storage_of
from autopanoptic.nas.results.result import Result

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage

SECONDS_BETWEEN = 2.0
SHARE = 0.1
"""Of the time, at most, goes into bringing the study up to date."""


def follow_optuna(
    journal: str | Path,
    storage_url: str | BaseStorage,
    study_name: str | None = None,
    *,
    seconds: float = SECONDS_BETWEEN,
) -> Iterator[Study]:
    """Bring a study up to date whenever a journal has grown, as :func:`export_optuna` does, until its search has ended.

    A journal that is not there yet is waited for. A search that was interrupted has not ended: it may go on.

    Args:
        journal: the journal of a search.
        storage_url: as for :func:`export_optuna`.
        study_name: as for :func:`export_optuna`.
        seconds: between two looks at the journal, at least; more where an update takes longer than a tenth of it.

    Yields:
        The study after each update, at least once.

    Raises:
        ImportError, JournalError, ValueError: as :func:`export_optuna`.
    """
    require_optuna("follow_optuna")
    with quiet():
        storage = storage_of(storage_url)  # kept open, for Optuna reads only what is new in it then
    path, pause, seen = Path(journal), seconds, 0
    while True:
        size = _length(path)
        if size != seen:
            began = time.monotonic()
            yield export_optuna(path, storage, study_name)
            if Result.from_journal(path).ended is not None and _length(path) == size:
                return
            seen, pause = size, max(seconds, (time.monotonic() - began) / SHARE)
        time.sleep(pause)


def _length(path: Path) -> int:
    """Return the journal's size in bytes; 0 while it has no whole line, as before its search begins."""
    try:
        with path.open("rb") as file:
            return path.stat().st_size if file.readline().endswith(b"\n") else 0
    except FileNotFoundError:
        return 0
