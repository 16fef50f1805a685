"""What a search knows when it is made: its header, and what its journal holds."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autopanoptic.nas.budgets.schedule import Schedule
from autopanoptic.nas.costs.table import CostTable
from autopanoptic.nas.search.proposals import first_ones
from autopanoptic.nas.search.repeats import Repeats
from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.stopping.base import Stopper
from autopanoptic.nas.storage.events import end_of, replay
from autopanoptic.nas.storage.header import FORMAT, check_header, library_version, search_id
from autopanoptic.nas.storage.journal import Journal, reading_of
from autopanoptic.nas.strategy import Strategy
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Objective


@dataclass(frozen=True)
class Definition:
    """What makes a search the one that a journal is of."""

    space: SearchSpace
    strategy: Strategy
    objectives: Sequence[Objective]
    costs: CostTable
    stopper: Stopper | None
    seed: int
    budget: Schedule | None = None
    repeats: Repeats = field(default_factory=Repeats)

    @property
    def schedule(self) -> Schedule | None:
        """What decides which trial goes on: of the budgets, or of the repeats."""
        return self.repeats.schedule or self.budget

    def header(self) -> dict[str, Any]:
        """Return what a new journal begins with, but for the initial architectures."""
        return {
            "event": "search",
            "format": FORMAT,
            "version": library_version(),
            "id": uuid.uuid4().hex,
            "space": self.space.to_json(),
            "strategy": repr(self.strategy),
            "objectives": {objective.name: objective.direction for objective in self.objectives},
            "constraints": self.costs.to_json(),
            "seed": self.seed,
            "stopper": repr(self.stopper),
            "schedule": None if self.budget is None else repr(self.budget),
            "repeats": self.repeats.described(),
        }


@dataclass(frozen=True)
class Opened:
    """What a search begins with.

    Attributes:
        history: the trials of the journal.
        journal: None where there is none.
        header: what the journal begins with.
        initial: the architectures to try first.
        ended: why the search of the journal ended; None while it runs, or when it was interrupted.
    """

    history: History
    journal: Journal | None
    header: dict[str, Any]
    initial: list[Architecture]
    ended: str | None


def opened(
    definition: Definition,
    journal: str | Path | Journal | None,
    initial: Iterable[Mapping[str, Option]],
    seers: Sequence[Callable[[Mapping[str, Any]], object]],
) -> Opened:
    """Read a search's journal, where it has one that exists.

    Args:
        definition: of the search.
        journal: or the file that it shall be.
        initial: the architectures to try first; the journal's own count.
        seers: are shown each event of the journal.

    Raises:
        JournalError: when the journal is damaged or belongs to another search.
        ValueError: when an initial architecture is not in the space or breaks a constraint.
    """
    header = definition.header()
    history = History(definition.objectives, definition.costs.constraints)
    reading = reading_of(journal, definition.space)
    known = None if reading is None else reading.header()
    if reading is not None and known is not None:
        parametrised = {
            "strategy": definition.strategy,
            "stopper": definition.stopper,
            "schedule": definition.budget,
            "repeats": definition.repeats.schedule,
        }
        check_header(reading.path, known, header, parametrised)
        replay(history, reading, definition.space, *seers)
        initial = known.get("initial", [])
        header["id"] = search_id(reading.path, known)
    read = None if reading is None else Journal(reading)
    kept = journal if isinstance(journal, Journal) else read
    first = first_ones(initial, definition.space, definition.costs)
    header["initial"] = [architecture.to_json() for architecture in first]
    return Opened(history, kept, header, first, None if kept is None else end_of(kept.last))
