"""The candidates with which a search begins, from another search of any kind."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from autopanoptic.nas import Architecture, PathPriority, SearchSpace, Strategy, warm_start
from autopanoptic.nas.storage.journal import JournalError
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.results.saved import chosen_beside
from autopanoptic.panoptic.search.architecture_files import read_architecture_file, read_published
from autopanoptic.panoptic.search.reference_logs import PARTS, read_log

BEST = 10
"""So many are taken where a strategy does not need them in cycles."""


def first_candidates(
    path: str | Path, space: SearchSpace, config: PanopticConfig, strategy: Strategy
) -> list[Architecture]:
    """Return what a search shall measure before anything else.

    Path-priority ranks within fair cycles. It takes the others' candidates in their order, whole cycles where there
    are as many, and at most its own; those of a search by path-priority are fair. Another strategy takes the best ten.

    Args:
        path: A journal, a log or a result file of the published code, or an architecture's file.
        space: Of the search; what it refuses is left out.
        config: Of the network that is searched.
        strategy: Of the search.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is none of these, a damaged journal or another release's, or nothing in it fits the space.
    """
    in_order = isinstance(strategy, PathPriority)
    found = _architectures(Path(path), space, config, in_order=in_order)
    accepted = [one for one in dict.fromkeys(found) if space.accepts(one)]
    if not accepted:
        raise ValueError(f"{path}: the limits on costs refuse all of its {len(found)} architectures")
    if not isinstance(strategy, PathPriority):
        return accepted[:BEST]
    length = strategy.length(space)
    whole = len(accepted) // length * length
    return accepted[: min(whole or len(accepted), strategy.trials(space))]


def _architectures(path: Path, space: SearchSpace, config: PanopticConfig, *, in_order: bool) -> list[Architecture]:
    """Return a file's architectures, in order or from the best to the worst."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    try:
        found = json.loads(path.read_text())
    except ValueError:
        return _of_journal(path, space, in_order=in_order)  # which is many lines of JSON
    if isinstance(found, dict) and "event" in found:
        return _of_journal(path, space, in_order=in_order)
    if config.space != "auto-panoptic" and isinstance(found, list):
        raise ValueError(f"{path} is of Auto-Panoptic's space, but search.space is {config.space}; take auto-panoptic")
    if not isinstance(found, list):
        one = read_architecture_file(path)
        if problem := chosen_beside(config, one):
            raise ValueError(f"{path}: {problem}")
        return [_in_space(one, space, path)]
    if not any(isinstance(one, dict) and set(one) & set(PARTS) for one in found):
        return [_in_space(one, space, path) for one in read_published(path, config)]
    candidates = read_log(path, config)
    if not in_order:
        candidates.sort(key=lambda one: -one.metrics["pq"])
    return [_in_space(one.architecture, space, path) for one in candidates]


def _of_journal(path: Path, space: SearchSpace, *, in_order: bool) -> list[Architecture]:
    try:
        return warm_start(path, space, count=sys.maxsize, in_order=in_order)
    except JournalError as error:
        raise ValueError(
            f"{error} It must be a journal, a search log or result file of Auto-Panoptic's code, or an architecture"
        ) from error


def _in_space(architecture: Architecture, space: SearchSpace, path: Path) -> Architecture:
    try:
        return space.canonical(architecture)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
