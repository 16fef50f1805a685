"""The part of a search space that satisfies a condition, by bounded rejection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.size import rounded
from autopanoptic.nas.space.space import Canonical, SearchSpace

SAMPLE_ATTEMPTS = 1000
CHILD_ATTEMPTS = 100
ENUMERABLE = 100_000
"""A space of at most this many architectures may be looked through as a whole."""


class InfeasibleError(ValueError):
    """No architecture that satisfies the constraint was found within the attempts allowed."""


class ConstrainedSpace(SearchSpace):
    """A search space whose random architectures all satisfy a condition.

    Args:
        choices: the choices of the whole space.
        accept: decides on a canonical architecture.
        description: names the condition in error messages.
        canonical: the symmetries, see :class:`SearchSpace`.

    ``size`` counts the whole space: the number of accepted architectures is not known without trying them all.
    """

    def __init__(
        self,
        choices: Iterable[Choice],
        accept: Callable[[Architecture], bool],
        description: str,
        canonical: Canonical | None = None,
    ) -> None:
        super().__init__(choices, canonical)
        self._accept = accept
        self.description = description
        self._tried = 0
        self._accepted = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConstrainedSpace) and super().__eq__(other) and self._accept == other._accept

    def __hash__(self) -> int:
        return hash(self.choices)

    def __iter__(self) -> Iterator[Architecture]:
        """Yield every accepted architecture once, in lexicographic order of the options.

        Raises:
            InfeasibleError: after 100,000 refusals in a row, so that a walk through a huge space ends.
        """
        refused = 0
        for architecture in super().__iter__():
            if self._accept(architecture):
                refused = 0
                yield architecture
            elif (refused := refused + 1) > ENUMERABLE:
                raise InfeasibleError(
                    f"{ENUMERABLE} architectures in a row break the constraint {self.description}, in a space of "
                    f"{rounded(self.size)} that is too large to look through. Widen the constraint or the space."
                )

    def accepts(self, architecture: Architecture) -> bool:
        """Return whether the condition allows the canonical architecture."""
        return self._accept(architecture)

    @property
    def unconstrained(self) -> SearchSpace:
        """The space without its constraint: the same choices and symmetries."""
        return SearchSpace(self.choices, self._representative)

    def where(self, accept: Callable[[Architecture], bool], description: str) -> ConstrainedSpace:
        """Return the part that both this space's condition and another accept."""
        first = self._accept
        return ConstrainedSpace(
            self.choices,
            lambda found: first(found) and accept(found),
            f"{self.description} and {description}",
            self._representative,
        )

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Return a random accepted architecture.

        Raises:
            InfeasibleError: after 1,000 refusals in a row; states the acceptance rate so far.
        """
        return self._first_accepted(lambda: super(ConstrainedSpace, self).sample(rng), SAMPLE_ATTEMPTS)

    def mutate(self, architecture: Architecture, rng: np.random.Generator, rate: float | None = None) -> Architecture:
        """Return a different accepted architecture; see :meth:`SearchSpace.mutate`.

        Raises:
            InfeasibleError: after 100 refusals in a row.
        """
        make = super().mutate
        return self._first_accepted(lambda: make(architecture, rng, rate), CHILD_ATTEMPTS)

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Return an accepted child of both; see :meth:`SearchSpace.crossover`.

        Raises:
            InfeasibleError: after 100 refusals in a row.
        """
        make = super().crossover
        return self._first_accepted(lambda: make(a, b, rng), CHILD_ATTEMPTS)

    def _first_accepted(self, make: Callable[[], Architecture], attempts: int) -> Architecture:
        for _ in range(attempts):
            architecture = make()
            self._tried += 1
            if self._accept(architecture):
                self._accepted += 1
                return architecture
        raise InfeasibleError(
            f"{attempts} architectures in a row break the constraint {self.description}; "
            f"{self._accepted} of {self._tried} tried so far satisfied it "
            f"({self._accepted / self._tried:.2%}). Widen the constraint or the space."
        )
