"""A condition on the architectures of a space, kept by bounded rejection."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.size import Size

SAMPLE_ATTEMPTS = 1000
CHILD_ATTEMPTS = 100
ENUMERABLE = 100_000
"""A space of at most this many architectures may be looked through as a whole."""


class InfeasibleError(ValueError):
    """No architecture that satisfies the constraint was found within the attempts allowed."""


class SpaceConstraint:
    """What a search space's architectures have to satisfy.

    Args:
        accept: decides on a canonical architecture.
        description: names the condition in error messages.
        explain: what else is to be said where nearly everything is refused, as a sentence; empty for nothing.
    """

    def __init__(
        self, accept: Callable[[Architecture], bool], description: str, explain: Callable[[], str] = str
    ) -> None:
        self.accept = accept
        self.description = description
        self.explain = explain
        self._tried = 0
        self._accepted = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SpaceConstraint) and self.accept == other.accept

    def __hash__(self) -> int:
        return hash(self.accept)

    def and_also(self, other: SpaceConstraint) -> SpaceConstraint:
        """Return the constraint that accepts what both accept."""
        first, second = self.accept, other.accept
        return SpaceConstraint(
            lambda found: first(found) and second(found),
            f"{self.description} and {other.description}",
            lambda: " ".join(filter(None, (self.explain(), other.explain()))),
        )

    def first_accepted(self, make: Callable[[], Architecture], attempts: int) -> Architecture:
        """Return the first architecture of ``make`` that is accepted.

        Raises:
            InfeasibleError: after so many refusals in a row; states the acceptance rate so far.
        """
        for _ in range(attempts):
            architecture = make()
            self._tried += 1
            if self.accept(architecture):
                self._accepted += 1
                return architecture
        raise self.infeasible(
            f"{attempts} architectures in a row break the constraint {self.description}; "
            f"{self._accepted} of {self._tried} tried so far satisfied it "
            f"({self._accepted / self._tried:.2%})."
        )

    def infeasible(self, what: str) -> InfeasibleError:
        """Return an error that says what was refused, why, and how to mend it."""
        return InfeasibleError(" ".join(filter(None, (what, self.explain(), "Widen the constraint or the space."))))

    def of_walk(self, architectures: Iterator[Architecture], size: Size) -> Iterator[Architecture]:
        """Yield the accepted ones of a walk through a space of that size.

        Raises:
            InfeasibleError: where none is accepted, or after 100,000 refusals in a row, so that a walk through a huge
                space ends.
        """
        refused, accepted = 0, False
        for architecture in architectures:
            if self.accept(architecture):
                refused, accepted = 0, True
                yield architecture
            elif (refused := refused + 1) > ENUMERABLE:
                raise self.infeasible(
                    f"{ENUMERABLE} architectures in a row break the constraint {self.description}, in a space of "
                    f"{size} that is too large to look through."
                )
        if not accepted:
            raise self.infeasible(f"None of the {size} architectures satisfies the constraint {self.description}.")
