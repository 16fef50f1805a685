"""Path-priority search."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.strategy import Strategy, require_count, unseen
from autopanoptic.nas.supernet.fairness import checked_length, next_member, uses_of
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Objective
from autopanoptic.nas.trials.trial import Trial
from autopanoptic.strategies.path_priority.scoreboard import Scores, best_first, climbs, nth_best, rank_points

SUM_ATTEMPTS = 100
CLIMBS = 5


@dataclass(frozen=True)
class PathPriority(Strategy):
    """Scores every option by the ranks of the architectures it stood in, and builds the answers from the scores.

    Wu et al. 2020, "Auto-Panoptic: cooperative multi-component architecture search for panoptic segmentation",
    section 3.4. A cycle is fair: each option of a choice stands in equally many of its trials, to within one. In a
    cycle of c completed trials the ranked ones give c - 1, c - 2, ..., 0 points to all of their options. After the last
    cycle the answers are tried too, unless a cycle has tried them already: the first takes the best option of every
    choice, the second the second best, and so on. Then the search ends.

    A cycle is dealt one trial at a time from the history: each choice takes, at random, one of the options that
    stand in the fewest trials of the cycle so far. A conditional choice is dealt among the trials in which it is made,
    where the uses of its options differ by at most one. Where 50 deals are all known or break the constraint, which is
    usual for a cycle's last trial under a constraint (it has to take what is left), a random architecture takes part in
    its place that has been moved as near to the fair deal as the constraint lets it, choice by choice; the scores are
    corrected for unequal use (:func:`~autopanoptic.strategies.path_priority.scoreboard.rank_points`).

    The length of a cycle is the least common multiple of the numbers of options, as in the paper (12 there), where all
    uses are then equal. That grows beyond any budget where the numbers have little in common (7, 8, 9, 11 and 13:
    72,072). Where it is more than four times the largest number of options, a cycle has as many trials as that number
    (:func:`~autopanoptic.nas.supernet.fairness.short_cycle_length`).

    Dealing does not wait for results; the answers wait until every trial of the cycles has ended.

    Args:
        cycles: fair cycles before the answers.
        top: the number of answers.
        answer: ``"options"`` builds answer k from the k-th best option of each choice, as the paper does (a choice
            with fewer options gives its last); ``"sum"`` takes the k architectures whose scores have the largest sum.
            An answer that breaks the constraint is replaced by the next by sum, and where 100 of these break it too,
            by what the trials with the largest sums reach through single changes that raise the sum.
        cycle_length: trials in a cycle, at least 2; None for the length above. With fewer trials than a choice has
            options, some of these do not stand in a cycle and earn nothing there.

    Raises:
        ValueError: for counts below 1, a ``cycle_length`` below 2, or another ``answer``.
    """

    cycles: int = 5
    top: int = 1
    answer: Literal["options", "sum"] = "options"
    cycle_length: int | None = None

    def __post_init__(self) -> None:
        self._make_plain()
        require_count("PathPriority", "cycles", self.cycles)
        require_count("PathPriority", "top", self.top)
        if self.cycle_length is not None:
            require_count("PathPriority", "cycle_length", self.cycle_length, low=2)
        if self.answer not in ("options", "sum"):
            raise ValueError(f"PathPriority needs answer to be 'options' or 'sum', not {self.answer!r}.")

    def check(self, space: SearchSpace, objectives: Sequence[Objective]) -> None:
        """Refuse several objectives: points come from one ranking."""
        if len(objectives) != 1:
            raise ValueError(
                f"PathPriority ranks by one objective, not {[objective.name for objective in objectives]}. "
                "Bound the others by constraints, or take Evolution."
            )

    def advise(self, space: SearchSpace, trials: int) -> str | None:
        """Warn where the search ends before the answers."""
        if trials > self.trials(space):
            return None
        length = self.length(space)
        return (
            f"PathPriority needs {self.trials(space)} trials for {self.cycles} cycles of {length}, and one more for "
            f"each answer, so {trials} trials give no answer. Give cycles={max(1, (trials - 1) // length)}, a shorter "
            "cycle_length, or more trials; its answers() may be asked for in any case."
        )

    def length(self, space: SearchSpace) -> int:
        """Return the number of trials in a cycle."""
        return checked_length(space, self.cycle_length)

    def trials(self, space: SearchSpace) -> int:
        """Return the number of trials that the cycles take; the answers come on top."""
        return self.cycles * self.length(space)

    def proposes_ahead(self) -> bool:
        """Return True: cycles regard no results, and the answers wait for them."""
        return True

    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture | None:
        """Return the next member of the current cycle, then the answers, then None."""
        trials = self.trials(space)
        if len(history) < trials:
            position = len(history) % self.length(space)
            uses = uses_of(trial.architecture for trial in history[len(history) - position :])
            return next_member(space, uses, rng, lambda: unseen(space, history, rng), known=history)
        if any(trial.id < trials for trial in history.running):
            return None
        return next((found for found in self.answers(space, history) if found not in history), None)

    def scoreboard(self, space: SearchSpace, history: History) -> Scores:
        """Return the points of every choice's options; cycles that are not complete count as far as they go."""
        return rank_points(space, history, self._cycles(space, history))

    def answers(self, space: SearchSpace, history: History) -> list[Architecture]:
        """Return the ``top`` architectures by the scoreboard, best first; also those that a cycle has tried.

        They may be asked for at any time. Empty while no trial of a cycle has completed, and shorter than ``top`` where
        the constraint leaves fewer to be found.
        """
        ranked = history.ranked(trial for cycle in self._cycles(space, history) for trial in cycle)
        if not ranked:
            return []
        scores = self.scoreboard(space, history)
        others = itertools.chain(
            itertools.islice(best_first(space, scores), SUM_ATTEMPTS),
            climbs(space, scores, (trial.architecture for trial in ranked), CLIMBS * self.top),
        )
        found: dict[Architecture, None] = {}
        for rank in range(self.top):
            wanted = [nth_best(space, scores, rank)] if self.answer == "options" else []
            for architecture in map(space.canonical, itertools.chain(wanted, others)):
                if architecture not in found and space.accepts(architecture):
                    found[architecture] = None
                    break
        return list(found)

    def _cycles(self, space: SearchSpace, history: History) -> Iterator[Sequence[Trial]]:
        length = self.length(space)
        for start in range(0, min(self.trials(space), len(history)), length):
            yield history[start : start + length]
