"""Grid search: every architecture in order."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.strategy import HistoryMemo, Strategy
from autopanoptic.nas.trials.history import History


class _Walk:
    """A walk through a space, which never looks back: whatever it has passed is in the history, which only grows."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self._rest = iter(space)
        self._next = next(self._rest, None)

    def first_unseen(self, history: History) -> Architecture | None:
        try:
            while self._next is not None and self._next in history:
                self._next = next(self._rest, None)
        except BaseException:  # Ctrl-C, and what a constraint of the user's raises, too
            self._rest = iter(self.space)  # a generator that has raised would seem exhausted when asked again
            raise
        return self._next


@dataclass(frozen=True)
class GridSearch(Strategy):
    """Proposes the first architecture that has not been tried, in lexicographic order.

    The order is the space's: the last choice changes fastest, its options in the order in which they were given.
    Architectures that the space's constraint refuses are skipped. Ends when the space is exhausted. A proposal costs a
    step of the walk, however long the history is; after a resume the first one walks through the history once.
    """

    _walks: HistoryMemo[_Walk] = field(default_factory=HistoryMemo, init=False, repr=False, compare=False)

    def proposes_ahead(self) -> bool:
        """Return True: it regards no results."""
        return True

    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture | None:
        """Return the next architecture; ``rng`` is not used.

        Raises:
            InfeasibleError: when the constraint refuses 100,000 architectures in a row.
        """
        # The walk holds the space, so its id stays its own for as long as the walk is kept.
        return self._walks.get(history, id(space), lambda: _Walk(space)).first_unseen(history)
