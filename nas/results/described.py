"""What a journal's header describes: the space and the aims of a search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autopanoptic.nas.costs.table import constraints_of
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.storage.events import MISFITS, said
from autopanoptic.nas.storage.header import check_format, check_initial
from autopanoptic.nas.storage.journal import JournalError
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import objectives_of


def described(path: object, header: Mapping[str, Any] | None) -> tuple[SearchSpace, History]:
    """Return the space of a search, and a history without trials, to which its events can be applied.

    Args:
        path: names the journal.
        header: its first event; None where it has none.

    Raises:
        JournalError: when it is not the description of a search, or of another format than this release's.
    """
    if header is None or header.get("event") != "search" or not {"objectives", "space"} <= header.keys():
        raise JournalError(f"{path} does not begin with the description of a search.")
    check_format(path, header)
    check_initial(path, header)
    try:
        objectives = objectives_of(dict(header["objectives"]))
        history = History(objectives, constraints_of(dict(header.get("constraints", {}))))
        return SearchSpace.from_json(header["space"]), history
    except MISFITS as problem:
        raise JournalError(f"{path} describes no search in its line 1 ({said(problem)}). Is it a journal?") from problem
