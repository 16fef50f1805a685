"""Evolution in generations, as in single-path one-shot search."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from autopanoptic.nas.hyperparameters import plain
from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.constrained import InfeasibleError
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.strategy import HistoryMemo, Strategy, require_count, require_probability, too_few_trials, unseen
from autopanoptic.nas.trials.elite import Elite
from autopanoptic.nas.trials.history import History

CROSSOVERS = 10


@dataclass(frozen=True, init=False)
class Evolution(Strategy):
    """Mutates and crosses the best architectures found so far, a generation at a time.

    Guo et al. 2020, "Single path one-shot neural architecture search with uniform sampling", algorithm 1; used for
    backbones of detectors by Chen et al. 2019 (DetNAS). Trial n belongs to generation ``n // population``. The first
    generation is random. The parents of a later one are the best completed trials of all generations before it, so it
    starts when the last trial of those has ended. A child that has been tried or breaks the constraint is replaced by
    another, of parents drawn anew; where none is found in 50 the member is drawn at random, as it is where too few
    trials have completed to be parents.

    Three details differ from the authors' code on purpose. A mutation changes at least one choice, and the two parents
    of a crossover are different, since what is left out would only repeat a known architecture. Where ten crossovers
    have been tried before, as when the parents have come to be alike, the member becomes a mutation, not a random
    architecture: that would turn half of a late generation into random search.

    Args:
        population: trials in a generation.
        parents: the best trials that have children; 10 by default, or the population where that is smaller.
        mutations: members of a generation that are mutations, the first ones; half of them by default.
        crossovers: members that are crossovers; the rest by default.
        mutation_rate: the probability with which a mutation changes each active choice.

    Raises:
        ValueError: for counts that do not fit together or a rate outside [0, 1].
    """

    population: int
    parents: int
    mutations: int
    crossovers: int
    mutation_rate: float
    _parents: HistoryMemo[list[Architecture]] = field(repr=False, compare=False)
    _elites: HistoryMemo[Elite] = field(repr=False, compare=False)

    def __init__(
        self,
        population: int = 50,
        parents: int | None = None,
        mutations: int | None = None,
        crossovers: int | None = None,
        mutation_rate: float = 0.1,
    ) -> None:
        given = (population, parents, mutations, crossovers, mutation_rate)
        population, parents, mutations, crossovers, mutation_rate = map(plain, given)
        require_count("Evolution", "population", population)
        if mutations is None:
            mutations = (population + 1) // 2 if crossovers is None else population - crossovers
        values = {
            "population": population,
            "parents": min(10, population) if parents is None else parents,
            "mutations": mutations,
            "crossovers": population - mutations if crossovers is None else crossovers,
            "mutation_rate": mutation_rate,
            "_parents": HistoryMemo[list[Architecture]](),
            "_elites": HistoryMemo[Elite](),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self._check_parameters()

    def _check_parameters(self) -> None:
        require_count("Evolution", "parents", self.parents)
        require_count("Evolution", "mutations", self.mutations, low=0)
        require_count("Evolution", "crossovers", self.crossovers, low=0)
        require_probability("Evolution", "mutation_rate", self.mutation_rate)
        if self.parents > self.population:
            raise ValueError(f"Evolution with a population of {self.population} cannot have {self.parents} parents.")
        if self.mutations + self.crossovers != self.population:
            raise ValueError(
                f"Evolution needs mutations + crossovers = population, not {self.mutations} + {self.crossovers} "
                f"for a population of {self.population}."
            )

    def advise(self, space: SearchSpace, trials: int) -> str | None:
        """Warn where there is no second generation."""
        mend = f"Take a smaller population, such as Evolution({max(2, trials // 4)}), or more trials."
        return too_few_trials("Evolution", trials, self.population, mend)

    def proposes_ahead(self) -> bool:
        """Return True: a generation depends on those before it."""
        return True

    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture | None:
        """Return a member of the current generation; None while trials of earlier ones run."""
        slot = len(history) % self.population
        start = len(history) - slot
        if any(trial.id < start for trial in history.running):
            return None
        parents = self._parents.get(history, start, lambda: self.select(history, start))
        if len(parents) < (1 if slot < self.mutations else 2):
            return unseen(space, history, rng)
        crossed = self._crossed(space, parents, rng) if slot >= self.mutations else iter(())

        def child() -> Architecture:
            for found in crossed:
                return found
            return space.mutate(parents[rng.integers(len(parents))], rng, self.mutation_rate)

        return unseen(space, history, rng, child)

    def select(self, history: History, start: int) -> list[Architecture]:
        """Return the parents of the generation that starts with trial ``start``, best first."""
        elite = self._elites.get(history, "elite", lambda: Elite(self.parents))
        if start < elite.seen:
            elite = Elite(self.parents)
        return [trial.architecture for trial in elite.ranked(history, start)]

    def _crossed(
        self, space: SearchSpace, parents: list[Architecture], rng: np.random.Generator
    ) -> Iterator[Architecture]:
        """Yield what may become a member of the generation of two parents."""
        for _ in range(CROSSOVERS):
            first, second = rng.permutation(len(parents))[:2]
            with suppress(InfeasibleError):
                yield space.crossover(parents[first], parents[second], rng)
