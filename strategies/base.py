"""What a search strategy is, and what strategies share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np

from autopanoptic.nas.architecture import Architecture
from autopanoptic.nas.constrained import InfeasibleError
from autopanoptic.nas.history import History
from autopanoptic.nas.objective import Objective
from autopanoptic.nas.space import SearchSpace

CHILD_ATTEMPTS = 50
SAMPLE_ATTEMPTS = 1000
ENUMERABLE = 100_000


class Strategy(ABC):
    """Decides the next architecture; a function of the space and the history.

    The contract:

    - :meth:`propose` depends on its arguments alone: the same space, history and generator state give the same
      architecture. A strategy keeps no random state; a cache is allowed where it can be rebuilt from the history.
    - It only reads the history, in which the running trials are visible too. It never changes an architecture.
    - Its architectures are canonical, in the space, accepted by the space's constraint, and not in the history.
    - Failed and stopped trials have no objectives: they are never ranked.
    - Trial n is proposed with ``numpy.random.default_rng([seed, n])``, so that a resumed search goes on exactly as
      the uninterrupted one would have.

    :func:`autopanoptic.strategies.testing.check_strategy` tests all of this.
    """

    @abstractmethod
    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture | None:
        """Return the architecture of trial ``len(history)``.

        Returns:
            None to wait for running trials, or, while none runs, to end the search.
        """

    def check(self, space: SearchSpace, objectives: Sequence[Objective]) -> None:  # noqa: B027 - optional, not abstract
        """Refuse a space or objectives that the strategy cannot search; called when a search is made.

        Raises:
            ValueError: says what the strategy cannot do.
        """


def unseen(
    space: SearchSpace,
    history: History,
    rng: np.random.Generator,
    make: Callable[[], Architecture] | None = None,
) -> Architecture | None:
    """Return an architecture that has no trial yet.

    Tries ``make`` 50 times; where all of its children are known or break the constraint, draws from the whole space;
    where 1,000 draws are known, looks through the space if it has at most 100,000 architectures.

    Args:
        space: where to draw from.
        history: what is known.
        rng: the source of randomness.
        make: makes a child; None to draw from the space at once.

    Returns:
        None when every architecture has been tried.

    Raises:
        InfeasibleError: when the space's constraint refuses nearly everything; states the acceptance rate.
    """
    for _ in range(CHILD_ATTEMPTS if make else 0):
        assert make is not None
        try:
            child = make()
        except InfeasibleError:
            break
        if child not in history:
            return child
    return _draw_unseen(space, history, rng)


def _draw_unseen(space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture | None:
    if len(history) >= space.size:
        return None
    for _ in range(SAMPLE_ATTEMPTS):
        architecture = space.sample(rng)
        if architecture not in history:
            return architecture
    if space.size > ENUMERABLE:
        raise InfeasibleError(
            f"{SAMPLE_ATTEMPTS} draws in a row had been tried before, in a space of {space.size:.4g} architectures "
            "that is too large to look through. Widen the constraint."
        )
    rest = [architecture for architecture in space if architecture not in history]
    return rest[rng.integers(len(rest))] if rest else None
