"""Architectures to begin a search with, from another search."""

from __future__ import annotations

import logging
from numbers import Integral
from pathlib import Path

from autopanoptic.nas.results.result import Result
from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.space import SearchSpace

logger = logging.getLogger(__name__)


def warm_start(
    journal: str | Path, space: SearchSpace, count: int = 10, *, in_order: bool = False
) -> list[Architecture]:
    """Return the best architectures of another search, for ``Search(initial=...)``.

    The spaces may differ. Of a choice that this space does not have the option is dropped; an architecture that lacks
    a choice of this space, or has an option that it does not know, is skipped, and a warning says how many were.
    Constraints are not looked at here: :class:`Search` refuses an initial architecture that breaks its own.

    Args:
        journal: the other search's journal; it may still be running.
        space: the space of the new search.
        count: how many at most, best first by the other search's objectives and constraints.
        in_order: whether to take the first instead of the best, in the order in which the other search tried them, as
            for a strategy that needs whole cycles of them.

    Raises:
        FileNotFoundError: when there is no such journal.
        JournalError: when it is damaged or empty.
        ValueError: when ``count`` is not positive, or none of the completed trials fits the space; says why the best
            does not.
    """
    if not isinstance(count, Integral) or count < 1:
        raise ValueError(f"A warm start needs a whole count of at least 1, not {count!r}.")
    ranked = Result.from_journal(journal).history.ranked()
    if in_order:
        ranked = sorted(ranked, key=lambda trial: trial.id)
    found: dict[Architecture, None] = {}
    problems = []
    for trial in ranked:
        if len(found) == count:
            break
        try:
            found[_fitted(trial.architecture, space)] = None
        except ValueError as problem:
            problems.append(str(problem))
    if not found:
        why = f"The {'first' if in_order else 'best'}: {problems[0]}" if problems else "It has none."
        raise ValueError(f"None of the {len(ranked)} completed trials of {journal} fits {space!r}. {why}")
    if problems:
        logger.warning("%d trials of %s do not fit the space and were skipped: %s", len(problems), journal, problems[0])
    return list(found)


def _fitted(architecture: Architecture, space: SearchSpace) -> Architecture:
    labels = {choice.label for choice in space.choices}
    return space.canonical({label: option for label, option in architecture.items() if label in labels})
