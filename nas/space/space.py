"""Search spaces: finite sets of choices, some of which exist only under an option of another."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from autopanoptic.nas.space.active import ActiveOptions
from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.constrained import CHILD_ATTEMPTS, SAMPLE_ATTEMPTS, InfeasibleError, SpaceConstraint
from autopanoptic.nas.space.draws import Draws
from autopanoptic.nas.space.encoding import OneHot
from autopanoptic.nas.space.marks import mark_of
from autopanoptic.nas.space.ordering import parents_first
from autopanoptic.nas.space.restricted import KeptSymmetry, restricted_choices
from autopanoptic.nas.space.size import Size, count_architectures
from autopanoptic.nas.space.walk import combinations

if TYPE_CHECKING:
    from torch import nn

Cost: TypeAlias = Callable[[Architecture], float]
Canonical: TypeAlias = Callable[[Architecture], Mapping[str, Option]]
MUTATION_ATTEMPTS = 100


class SearchSpace:
    """A finite, ordered set of choices; parents come before the choices that depend on them.

    All randomness comes from the generator that is passed in. Every architecture that a method returns is canonical:
    it has exactly the active choices, in the space's order, and where the space has symmetries it is the representative
    of its class.

    Args:
        choices: the choices, in any order.
        canonical: maps an architecture to the one representative of all that are the same network (isomorphic graphs,
            say), so that a search tries each network once. None where there are no such symmetries.
        constraint: what every random architecture, neighbour and step of a walk satisfies; ``size`` still counts the
            whole space, since the number of accepted architectures is not known without trying them all. See
            :meth:`where`.

    Raises:
        ValueError: for repeated labels, a condition on a label or an option that is not there, or conditions that
            form a cycle.
    """

    def __init__(
        self,
        choices: Iterable[Choice],
        canonical: Canonical | None = None,
        constraint: SpaceConstraint | None = None,
    ) -> None:
        self.choices = parents_first(list(choices))
        self._by_label = {choice.label: choice for choice in self.choices}
        self.constraint = constraint
        self.costs: Mapping[str, Cost] = {}
        self._representative = canonical
        self._mark = mark_of(self.choices) if canonical is None else object()
        """Stands in the architectures that the space has made; spaces that differ in their constraints share it."""
        self._active = ActiveOptions(self.choices)
        self._children: dict[str, list[int]] = {}  # by place, ascending
        for index, choice in enumerate(self.choices):
            for parent in dict.fromkeys(parent for parent, _ in choice.conditions):
                self._children.setdefault(parent, []).append(index)
        self.one_hot = OneHot(self.choices)
        self._draws = Draws(self.choices)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.choices)} choices, {self.counted} architectures)"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, SearchSpace)
            and self.choices == other.choices
            and self._representative == other._representative
            and self.constraint == other.constraint
        )

    def __hash__(self) -> int:
        return hash(self.choices)

    def __getitem__(self, label: str) -> Choice:
        """Return the choice of that label; KeyError when there is none."""
        if label not in self._by_label:
            raise KeyError(f"The space has no choice {label!r}; it has {list(self._by_label)}.")
        return self._by_label[label]

    @cached_property
    def counted(self) -> Size:
        """The number of architectures and whether it is exact; as text ``192`` or ``more than 1.2e+30``."""
        return count_architectures(self.choices)

    @property
    def size(self) -> int:
        """The number of architectures; a constraint and symmetries are not regarded.

        It is exact unless so many conditions overlap that counting would take too long. Then it is a lower bound, and
        :attr:`size_is_exact` is false.
        """
        return self.counted.number

    @property
    def size_is_exact(self) -> bool:
        """Whether :attr:`size` is the number of architectures, not only a lower bound."""
        return self.counted.exact

    def has_at_most(self, count: int) -> bool:
        """Return whether the space is known to have no more than so many architectures."""
        return self.size_is_exact and self.size <= count

    def __iter__(self) -> Iterator[Architecture]:
        """Yield every accepted architecture once, in lexicographic order of the options; of a class its representative.

        Raises:
            InfeasibleError: where the constraint refuses everything, or 100,000 architectures in a row.
        """
        return self._walk() if self.constraint is None else self.constraint.of_walk(self._walk(), self.counted)

    def _walk(self) -> Iterator[Architecture]:
        if self._representative is None:
            return (Architecture(options, self._mark) for options in combinations(self.choices))
        found = map(Architecture, combinations(self.choices))
        return (Architecture(each, self._mark) for each in found if self.representative(each) == each)

    def __contains__(self, architecture: object) -> bool:
        """Return whether this is a canonical architecture of the space that its constraint accepts."""
        try:
            return isinstance(architecture, Architecture) and (
                self.canonical(architecture) == architecture and self.accepts(architecture)
            )
        except ValueError:
            return False

    def accepts(self, architecture: Architecture) -> bool:
        """Return whether the space's constraint, if it has one, allows the canonical architecture."""
        return self.constraint is None or self.constraint.accept(architecture)

    def canonical(self, values: Mapping[str, Option]) -> Architecture:
        """Return the architecture of the values: of its class the representative, without inactive choices.

        Raises:
            ValueError: names an unknown label, a missing choice or an unknown option.
        """
        if isinstance(values, Architecture) and values.is_canonical_of(self._mark):
            return values
        return self._made(self.without_inactive(values))

    def _made(self, options: Mapping[str, Option]) -> Architecture:
        """Return the representative of options of which none is inactive or unknown."""
        if self._representative is not None:
            options = self.representative(Architecture(options))
        return Architecture(options, self._mark)

    def representative(self, architecture: Architecture) -> Architecture:
        """Return the representative of an architecture's class: itself where the space has no symmetries.

        Raises:
            ValueError: when the space's function returns what is not in the space or is not its own representative.
        """
        if self._representative is None:
            return architecture
        found = self.without_inactive(self._representative(architecture))
        if self._representative(found) != found:
            raise ValueError(
                f"canonical= must map a representative to itself, but it maps {dict(architecture)} to {dict(found)}, "
                f"and that to {dict(self._representative(found))}."
            )
        return found

    def without_inactive(self, values: Mapping[str, Option]) -> Architecture:
        """Return the architecture of the values without the choices that they leave inactive, symmetries aside.

        Raises:
            ValueError: names an unknown label, a missing choice or an unknown option.
        """
        return self._active(values)

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Return an accepted architecture whose every choice is drawn by its weights, uniformly where it has none.

        Raises:
            InfeasibleError: after 1,000 refusals of the constraint in a row; states the acceptance rate so far.
        """
        return self._accepted(lambda: self._complete({}, rng), SAMPLE_ATTEMPTS)

    def _accepted(self, make: Callable[[], Architecture], attempts: int) -> Architecture:
        return make() if self.constraint is None else self.constraint.first_accepted(make, attempts)

    def mutate(self, architecture: Architecture, rng: np.random.Generator, rate: float | None = None) -> Architecture:
        """Return a different accepted architecture.

        Args:
            architecture: the parent.
            rng: the source of randomness.
            rate: each active choice changes with this probability, and at least one does; None changes exactly one
                (Real et al. 2019). Options are drawn by their weights, also of choices that become active.

        Raises:
            ValueError: when no choice of the parent has a second option, or the rate is not in [0, 1].
            InfeasibleError: when 100 mutations in a row are the parent by the space's symmetries, or are refused by
                the constraint.
        """
        return self._accepted(lambda: self._mutation(architecture, rng, rate), CHILD_ATTEMPTS)

    def _mutation(self, architecture: Architecture, rng: np.random.Generator, rate: float | None) -> Architecture:
        if rate is not None and not 0 <= rate <= 1:
            raise ValueError(f"The mutation rate must be in [0, 1], not {rate}.")
        labels = architecture.keys()
        genes = [choice for choice in self.choices if choice.label in labels and len(choice.options) > 1]
        if not genes:
            raise ValueError(f"No choice of {architecture!r} has a second option, so it cannot be mutated.")
        for _ in range(MUTATION_ATTEMPTS):
            chosen = [] if rate is None else list(itertools.compress(genes, (rng.random(len(genes)) < rate).tolist()))
            options = dict(architecture.items())
            for choice in chosen or [genes[rng.integers(len(genes))]]:
                options[choice.label] = choice.another(architecture[choice.label], rng)
            child = self._complete(options, rng)
            if child != architecture:
                return child
        raise InfeasibleError(
            f"{MUTATION_ATTEMPTS} mutations of {architecture!r} are all the same by the symmetries of the space."
        )

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Return an accepted architecture that takes each choice from either parent with equal probability.

        A choice that only one parent makes comes from that one.

        Raises:
            InfeasibleError: when the constraint refuses 100 children in a row.
        """
        return self._accepted(lambda: self._child(a, b, rng), CHILD_ATTEMPTS)

    def _child(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        from_b = (rng.random(len(self.choices)) >= 0.5).tolist()
        others = dict(b.items())
        options = {**others, **dict(a.items())}
        for choice, taken in zip(self.choices, from_b, strict=True):
            if taken and choice.label in others:
                options[choice.label] = others[choice.label]
        return self._complete(options, rng)

    def _complete(self, options: Mapping[str, Option], rng: np.random.Generator) -> Architecture:
        """Return the canonical form of the options, the missing ones drawn by their weights."""
        complete: dict[str, Option] = {}
        for choice, index in zip(self.choices, self._draws.indices(rng), strict=True):
            if not choice.conditions or choice.active(complete):
                complete[choice.label] = options.get(choice.label, choice.options[index])
        return self._made(complete)

    def changes_alone(self, label: str) -> bool:
        """Return whether a change of that choice changes nothing else: no other depends on it, no symmetry moves it."""
        return self._representative is None and label not in self._children

    def neighbors(self, architecture: Architecture) -> Iterator[Architecture]:
        """Yield every architecture with one active choice changed, each once, in the space's order.

        Choices that become active take their first option; those can be changed in a further step.
        """
        found = self._neighbors(architecture)
        if self._representative is None:
            return found
        # Several changes may lead to one network, or back to the same.
        return (neighbor for neighbor in dict.fromkeys(found) if neighbor != architecture)

    def _neighbors(self, architecture: Architecture) -> Iterator[Architecture]:
        for choice in (choice for choice in self.choices if choice.label in architecture):
            for option in choice.options:
                if option != architecture[choice.label]:
                    neighbor = self.changed(architecture, choice.label, option)
                    if self.accepts(neighbor):
                        yield neighbor

    def changed(self, architecture: Architecture, label: str, option: Option) -> Architecture:
        """Return a canonical architecture with one active choice changed, whether or not a constraint accepts it.

        Choices that become active take their first option.

        Args:
            architecture: a canonical architecture.
            label: a choice that it makes.
            option: one of the choice's options.
        """
        options = architecture.replace(label, option)
        if label in self._children and self._switch_dependents(options, label):
            options = {choice.label: options[choice.label] for choice in self.choices if choice.label in options}
        return self._made(options)

    def _switch_dependents(self, options: dict[str, Option], label: str) -> bool:
        """Bring the choices that depend on a changed one in line with it, and return whether any was turned on."""
        waiting, added = list(self._children[label]), False
        while waiting:
            choice = self.choices[heapq.heappop(waiting)]
            active = choice.active(options)
            if active == (choice.label in options):
                continue
            if active:
                options[choice.label] = choice.options[0]
            else:
                del options[choice.label]
            added |= active
            for child in self._children.get(choice.label, ()):
                heapq.heappush(waiting, child)
        return added

    def encode(self, architectures: Iterable[Architecture]) -> NDArray[np.float64]:
        """Return the one-hot encoding of canonical architectures.

        Returns:
            An array of shape (n, sum of the options' counts) of 0 and 1; an inactive choice has only zeros.
        """
        return self.one_hot(architectures)

    @cached_property
    def unconstrained(self) -> SearchSpace:
        """The space without its constraint: the same choices and symmetries."""
        return self if self.constraint is None else self._with(constraint=None)

    def where(
        self, accept: Callable[[Architecture], bool], description: str, explain: Callable[[], str] = str
    ) -> SearchSpace:
        """Return the part of the space that a condition accepts besides the constraint that it has already.

        Args:
            accept: decides on a canonical architecture.
            description: stands in error messages.
            explain: what these say besides where nearly everything is refused, as a sentence; empty for nothing.
        """
        one = SpaceConstraint(accept, description, explain)
        return self._with(constraint=one if self.constraint is None else self.constraint.and_also(one))

    def _with(self, **attributes: Any) -> SearchSpace:
        """Return a copy with other attributes."""
        found = copy(self)
        found.__dict__.pop("unconstrained", None)
        found.__dict__.update(attributes)
        return found

    def priced(self, costs: Mapping[str, Cost]) -> SearchSpace:
        """Return the space with ``costs``, which tell strategies what an architecture costs before it is evaluated.

        They are cheap enough to be asked for thousands of architectures; a ValueError says that one has no such cost.
        """
        return self._with(costs=costs)

    def restricted(self, options: Mapping[str, Iterable[Option]]) -> SearchSpace:
        """Return the part of the space whose choices take only the given options; constraint and symmetries stay.

        A choice that none of the options left leads to is left out.

        Args:
            options: by label; choices that are not named keep all of theirs.

        Raises:
            ValueError: names an unknown label or option, or a choice that would have none.
        """
        choices = tuple(restricted_choices(self.choices, options))
        symmetry = None if self._representative is None else KeptSymmetry(self.representative, choices)
        return SearchSpace(choices, symmetry, self.constraint).priced(self.costs)

    def to_json(self) -> list[dict[str, Any]]:
        """Return the choices as a JSON array; symmetries and constraints, which are functions, are left out."""
        return [choice.to_json() for choice in self.choices]

    @classmethod
    def from_json(cls, values: Iterable[Mapping[str, Any]]) -> SearchSpace:
        """Read a space back from :meth:`to_json`."""
        return SearchSpace(Choice.from_json(value) for value in values)

    @classmethod
    def from_module(cls, module: nn.Module) -> SearchSpace:
        """Read the space of a network built with :class:`LayerChoice`, :class:`InputChoice` and :class:`Repeat`.

        Raises:
            ValueError: for a label that stands twice without ``tied=True``, or a mutable that cannot be switched.
        """
        from autopanoptic.nas.supernet.sites import choices_of

        return SearchSpace(choices_of(module))
