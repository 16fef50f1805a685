"""Regularized (aging) evolution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.strategy import Strategy, require_count, require_probability, too_few_trials, unseen
from autopanoptic.nas.trials.history import History


@dataclass(frozen=True)
class RegularizedEvolution(Strategy):
    """Mutates the winner of a tournament among the youngest trials; old ones die, however good they are.

    Real et al. 2019, "Regularized evolution for image classifier architecture search", algorithm 1. The first
    ``population`` trials are random. From then on the population is the trials that completed last, and each proposal
    draws ``sample`` of them uniformly with replacement, as the paper does, and mutates the best of these.

    Nothing waits for running trials: they join the population when they complete. Unlike in the paper no architecture
    is tried twice: a child that has been tried, or that the constraint refuses, is replaced by that of a new
    tournament, and by a random architecture where 50 of them find nothing new.

    With at most ``population`` trials in all it is random search, which :meth:`advise` says. The paper's population of
    100 is for tens of thousands of trials; take a quarter to a third of the trials where these are few hundreds.

    Args:
        population: trials that are alive (P in the paper).
        sample: trials in a tournament (S in the paper).
        mutation_rate: the probability with which each active choice changes; None changes exactly one, as the paper
            does.

    Raises:
        ValueError: for a sample larger than the population or a rate outside [0, 1].
    """

    population: int = 100
    sample: int = 25
    mutation_rate: float | None = None

    def __post_init__(self) -> None:
        self._make_plain()
        require_count("RegularizedEvolution", "population", self.population)
        require_count("RegularizedEvolution", "sample", self.sample)
        if self.sample > self.population:
            raise ValueError(
                f"RegularizedEvolution cannot draw a sample of {self.sample} from a population of {self.population}: "
                f"give sample={self.population} or less."
            )
        if self.mutation_rate is not None:
            require_probability("RegularizedEvolution", "mutation_rate", self.mutation_rate)

    def advise(self, space: SearchSpace, trials: int) -> str | None:
        """Warn where the population never fills up."""
        size = max(2, trials // 3)
        mend = f"Take a smaller population, such as RegularizedEvolution({size}, {max(1, size // 4)}), or more trials."
        return too_few_trials("RegularizedEvolution", trials, self.population, mend)

    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture | None:
        """Return a mutation of a tournament's winner, at random while the population fills up."""
        alive = history.last_completed(self.population)
        if len(history) < self.population or not alive:
            return unseen(space, history, rng)

        def child() -> Architecture:
            drawn = [alive[index] for index in rng.integers(len(alive), size=self.sample)]
            winner = history.ranked(drawn)[0]
            return space.mutate(winner.architecture, rng, self.mutation_rate)

        return unseen(space, history, rng, child)
