"""The next architecture of a search."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from autopanoptic.nas.costs.table import CostTable
from autopanoptic.nas.search.errors import SearchError
from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.strategy import BatchStrategy, Strategy
from autopanoptic.nas.trials.history import History

PROPOSALS = 100


def propose(strategy: Strategy, space: SearchSpace, history: History, seed: int) -> Architecture | None:
    """Return a strategy's proposal for the next trial, canonical and new; None where it has none for now.

    Raises:
        SearchError: when the strategy proposes nothing new.
        ValueError: when it proposes an architecture that is not in the space.
    """
    number = len(history)
    for attempt in range(PROPOSALS):
        rng = np.random.default_rng([seed, number, attempt] if attempt else [seed, number])
        proposal = strategy.propose(space, history, rng)
        if proposal is None:
            return None
        architecture = space.canonical(proposal)
        if architecture not in history and space.accepts(architecture):
            return architecture
    raise SearchError(
        f"{type(strategy).__name__} proposed {PROPOSALS} times in a row an architecture that was tried before or "
        f"breaks a constraint, after {number} trials of a space of {space.counted}. "
        "A strategy returns None when it has nothing new."
    )


def propose_batch(
    strategy: Strategy, space: SearchSpace, history: History, seed: int, count: int
) -> list[Architecture]:
    """Return at most so many proposals that a strategy makes at once, canonical and new; none where it makes no batch.

    Of those that were tried before, break a constraint or are there twice, none is among them.

    Raises:
        ValueError: when one is not in the space, or there are more than asked for.
    """
    if not isinstance(strategy, BatchStrategy):
        return []
    numbers = range(len(history), len(history) + count)
    proposals = strategy.propose_batch(space, history, [np.random.default_rng([seed, number]) for number in numbers])
    if len(proposals) > count:
        raise ValueError(f"{type(strategy).__name__} proposed {len(proposals)} architectures at once, not {count}.")
    found = dict.fromkeys(map(space.canonical, proposals))
    return [architecture for architecture in found if architecture not in history and space.accepts(architecture)]


class Proposals:
    """What a search tries next, worked out ahead where that changes nothing.

    Args:
        strategy: proposes.
        space: what it proposes from.
        seed: of the search.
        initial: what is tried first.
    """

    def __init__(self, strategy: Strategy, space: SearchSpace, seed: int, initial: Sequence[Architecture]) -> None:
        self._strategy, self._space, self._seed, self._initial = strategy, space, seed, initial
        self._ahead: tuple[History, int, Architecture] | None = None

    def next(self, history: History) -> Architecture | None:
        """Return the architecture of trial ``len(history)``; None where there is none for now.

        Raises:
            SearchError: when the strategy proposes nothing new.
            ValueError: when it proposes an architecture that is not in the space.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] is history and ahead[1] == len(history):
            return ahead[2]
        first = self.first(history)
        if first is not None:
            return first
        return propose(self._strategy, self._space, history, self._seed)

    def first(self, history: History) -> Architecture | None:
        """Return the next of the architectures to try first; None where all have been tried."""
        # Not by the number of trials: a repaired journal may have lost any of them.
        return next((architecture for architecture in self._initial if architecture not in history), None)

    def think(self, history: History) -> Architecture | None:
        """Have the next proposal ready, where the strategy's does not depend on what running trials will give.

        An exception of the strategy's is left for :meth:`next` to meet.

        Returns:
            The proposal, where it has just been made; None where there is nothing to do.
        """
        number = len(history)
        ready = self._ahead is not None and self._ahead[0] is history and self._ahead[1] == number
        if ready or not self._strategy.proposes_ahead():
            return None
        try:
            architecture = self.next(history)
        except Exception:
            return None
        self._ahead = None if architecture is None else (history, number, architecture)
        return architecture


def first_ones(
    architectures: Iterable[Mapping[str, Option]], space: SearchSpace, costs: CostTable
) -> list[Architecture]:
    """Return the architectures with which a search begins, canonical and each once.

    Raises:
        TypeError: when they are no list of architectures.
        ValueError: when one is not in the space or breaks a constraint.
    """
    found = list(dict.fromkeys(space.canonical(values) for values in _listed(architectures)))
    for architecture in found:
        if not space.accepts(architecture):
            assert space.constraint is not None
            why = costs.refusal(architecture) or f"it breaks {space.constraint.description}"
            raise ValueError(f"The initial architecture {architecture.id} is refused: {why}.")
    return found


def _listed(architectures: Iterable[Mapping[str, Option]]) -> list[Mapping[str, Option]]:
    if isinstance(architectures, (str, bytes)) or not isinstance(architectures, Iterable) or _is_one(architectures):
        raise TypeError(
            f"initial is a list of architectures, such as [architecture], not {architectures!r}. Put brackets around a "
            "single one; leave initial away for none."
        )
    found = list(architectures)
    for index, values in enumerate(found):
        if not isinstance(values, Mapping):
            raise TypeError(
                f"initial[{index}] is {values!r}, which is no architecture: give a mapping of choices to options."
            )
    return found


def _is_one(architectures: Iterable[object]) -> bool:
    """Whether it is one architecture, options by labels, and no mapping of architectures to what is known of them."""
    return isinstance(architectures, Mapping) and not all(isinstance(key, Mapping) for key in architectures)
