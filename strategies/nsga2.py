"""NSGA-II, the elitist genetic algorithm for several objectives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.strategy import HistoryMemo, Strategy, require_count, require_probability, too_few_trials, unseen
from autopanoptic.nas.trials.dominance import fronts
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.pareto import crowding_within
from autopanoptic.nas.trials.trial import Trial, TrialState


class Survivor(NamedTuple):
    """A completed trial with its front, 0 for the best, and its crowding distance among those it was selected from."""

    trial: Trial
    front: int
    crowding: float

    @property
    def rank(self) -> tuple[int, float]:
        """Less is better: the crowded comparison, by front and among equals by the larger distance."""
        return self.front, -self.crowding


@dataclass(frozen=True)
class NSGA2(Strategy):
    """Breeds the survivors of all generations: those on the best fronts, where they crowd least.

    Deb, Pratap, Agarwal, Meyarivan 2002, "A fast and elitist multiobjective genetic algorithm: NSGA-II". Trial n
    belongs to generation ``n // population``, and the first generation is random. A generation survives together with
    the survivors before it by non-dominated front, and within the last front that fits only in part by crowding
    distance, until there are ``population`` (section III-C). A trial that breaks measured constraints is dominated by
    all that break none and by those that break them less (VI-A). A parent is the better of two survivors drawn at
    random, by front and then by crowding distance. Two parents are crossed, each choice coming from either, and the
    child is mutated.

    A generation starts when the last trial of those before it has ended. Failed and stopped trials do not survive. No
    architecture is tried twice: a child that has been tried, or that a constraint refuses, is replaced by another, of
    parents drawn anew, and by a random architecture where 50 of them are. So a child that is no crossover, or whose
    parents are one, is always mutated in at least one choice.

    It is meant for two or more objectives. With one it is an elitist genetic algorithm, for which
    :class:`RegularizedEvolution` or :class:`Evolution` is the more usual choice.

    Args:
        population: trials in a generation, and survivors; at least 2. Deb et al. take 100 for tens of thousands of
            evaluations; a few hundred trials ask for 20 to 40.
        crossover_rate: the probability that a child has two parents.
        mutation_rate: the probability with which each active choice of a child changes; None is one over their number.

    Raises:
        ValueError: for a population below 2 or a rate outside [0, 1].
    """

    population: int = 40
    crossover_rate: float = 0.9
    mutation_rate: float | None = None
    _selections: HistoryMemo[list[list[Survivor]]] = field(
        default_factory=HistoryMemo, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        self._make_plain()
        require_count("NSGA2", "population", self.population, low=2)
        require_probability("NSGA2", "crossover_rate", self.crossover_rate)
        if self.mutation_rate is not None:
            require_probability("NSGA2", "mutation_rate", self.mutation_rate)

    def advise(self, space: SearchSpace, trials: int) -> str | None:
        """Warn where there is no second generation."""
        mend = f"Take a smaller population, such as NSGA2({max(2, trials // 4)}), or more trials."
        return too_few_trials("NSGA2", trials, self.population, mend)

    def proposes_ahead(self) -> bool:
        """Return True: a generation depends on those before it."""
        return True

    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture | None:
        """Return a member of the current generation; None while trials of earlier ones run."""
        generation = len(history) // self.population
        if any(trial.id < generation * self.population for trial in history.running):
            return None
        parents = self.survivors(history, generation)
        return unseen(space, history, rng, (lambda: self._child(space, parents, rng)) if parents else None)

    def survivors(self, history: History, generation: int) -> list[Survivor]:
        """Return the survivors of all generations before one, best first, once all of their trials have ended."""
        known = self._selections.get(history, "selections", lambda: [[]])
        while len(known) <= generation:
            start = (len(known) - 1) * self.population
            children = [t for t in history[start : start + self.population] if t.state is TrialState.COMPLETED]
            known.append(select(history, [*(old.trial for old in known[-1]), *children], self.population))
        return known[generation]

    def _child(self, space: SearchSpace, parents: Sequence[Survivor], rng: np.random.Generator) -> Architecture:
        first, second = tournament(parents, rng), tournament(parents, rng)
        crossed = first != second and rng.random() < self.crossover_rate
        child = space.crossover(first, second, rng) if crossed else first
        rate = 1 / len(child) if self.mutation_rate is None else self.mutation_rate
        if crossed and rng.random() < (1 - rate) ** len(child):
            return child  # no choice changes, which space.mutate does not allow
        return space.mutate(child, rng, rate)


def tournament(survivors: Sequence[Survivor], rng: np.random.Generator) -> Architecture:
    """Return the better of two survivors drawn without replacement, either of equals; of a single one that."""
    drawn: list[Survivor] = [survivors[index] for index in rng.permutation(len(survivors))[:2]]
    return min(drawn, key=lambda survivor: survivor.rank).trial.architecture


def select(history: History, trials: Sequence[Trial], count: int) -> list[Survivor]:
    """Return the best of completed trials by front, then by crowding distance within the front; ties keep their order.

    Args:
        history: the search of the trials, with its objectives and constraints.
        trials: completed trials.
        count: how many to return at most.
    """
    if not trials:
        return []
    gains = np.array([history.gains(trial) for trial in trials])
    front = constrained_fronts(gains, np.array([history.violation(trial) for trial in trials]))
    distance = crowding_within(gains, front)
    found = [Survivor(*values) for values in zip(trials, front.tolist(), distance.tolist(), strict=True)]
    return sorted(found, key=lambda survivor: survivor.rank)[:count]


def constrained_fronts(gains: NDArray[np.float64], violations: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the number of each point's front by constrained domination (Deb et al. 2002, VI-A).

    Points without a violation come first, by Pareto front; of those with one each different violation is a front.

    Args:
        gains: shape (n, objectives), finite; more is better.
        violations: shape (n,), 0 where a point breaks no constraint.

    Returns:
        Shape (n,), 0 for the best front.
    """
    found = np.zeros(len(gains), dtype=np.intp)
    feasible = violations == 0
    found[feasible] = fronts(gains[feasible])
    n_feasible = found[feasible].max(initial=-1) + 1
    found[~feasible] = n_feasible + np.unique(violations[~feasible], return_inverse=True)[1]
    return found
