"""Local search with restarts."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.strategy import HistoryMemo, Strategy, require_count, unseen
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Objective
from autopanoptic.nas.trials.trial import Trial, TrialState

Rank: TypeAlias = tuple[float, float]
"""The violation of the constraints and, where there is none, the negated gain; less is better."""
Member: TypeAlias = tuple[Rank, int, Trial]
"""A completed trial of a climb, with its place in the order in which trials ended."""


@dataclass(frozen=True)
class LocalSearch(Strategy):
    """Tries the neighbours of the best architecture of a climb, moves to a better one, and restarts at an optimum.

    White, Nolen, Savani 2021, "Exploring the loss landscape in neural architecture search" (arXiv 2005.02960, first
    called "Local search is state of the art for NAS benchmarks"). A climb begins at the best of ``initial`` random
    architectures, its first incumbent. Neighbours differ in one choice (:meth:`SearchSpace.neighbors`) and come in
    random order. The incumbent is a local optimum when all of its neighbours have ended and none is strictly better;
    then the next climb begins. Neighbours that an earlier climb has tried are skipped and not moved to, so that climbs
    do not flow together. Trials that break measured constraints are worse than those that do not, by how much they do.

    The paper's main algorithm is ``full_neighborhood=True, initial=1``; the other values are its variants. Moving to
    the first improvement takes about half as many trials on NAS-Bench-201 and is the default.

    A climb is read off the trials in the order in which they ended, so that it needs no state; the first trials of a
    search count as the first climb's beginning also where the user gave them. Nothing waits for running trials. While
    every neighbour of the incumbent has a trial but some still run, the neighbours of better members of the climb are
    tried (of any, with ``at_optimum="continue"``), and then random architectures: they begin the next climb, or this
    climb moves to them, should they end first and be better.

    Args:
        initial: random trials at the beginning of a climb.
        full_neighborhood: whether to try all neighbours and move to the best; False moves to the first that is better.
        at_optimum: ``"restart"`` begins a new climb at a local optimum; ``"continue"`` goes on from the best trial of
            the search that has untried neighbours.

    Raises:
        ValueError: for a count below 1, a ``full_neighborhood`` that is not a boolean, or another ``at_optimum``.
    """

    initial: int = 1
    full_neighborhood: bool = False
    at_optimum: Literal["restart", "continue"] = "restart"
    _climbs: HistoryMemo[_Climb] = field(default_factory=HistoryMemo, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._make_plain()
        require_count("LocalSearch", "initial", self.initial)
        if not isinstance(self.full_neighborhood, bool):
            raise ValueError(
                f"LocalSearch needs full_neighborhood to be True or False, not {self.full_neighborhood!r}."
            )
        if self.at_optimum not in ("restart", "continue"):
            raise ValueError(f"LocalSearch needs at_optimum to be 'restart' or 'continue', not {self.at_optimum!r}.")

    def check(self, space: SearchSpace, objectives: Sequence[Objective]) -> None:
        """Refuse several objectives: a neighbour must be better or not."""
        if len(objectives) != 1:
            raise ValueError(
                f"LocalSearch climbs by one objective, not {[objective.name for objective in objectives]}. "
                "Bound the others by constraints, or take NSGA2."
            )

    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture | None:
        """Return an untried neighbour of the incumbent; where there is none, what begins the next climb."""
        climb = self._climb(space, history)
        # One draw for all sources: what the climb has cached must not change how many numbers are drawn.
        keys = rng.random(sum(len(choice.options) for choice in space.choices))
        for member in climb.sources():
            neighbor = climb.neighborhood(member).untried(history, keys)
            if neighbor is not None:
                return neighbor
        return unseen(space, history, rng)

    def incumbent(self, space: SearchSpace, history: History) -> Trial | None:
        """Return the trial whose neighbours are being tried; None while a climb begins."""
        member = self._climb(space, history).incumbent
        return None if member is None else member[-1]

    def _climb(self, space: SearchSpace, history: History) -> _Climb:
        # The climb holds the space, so its id stays its own for as long as the climb is kept.
        climb = self._climbs.get(history, id(space), lambda: _Climb(self, space))
        climb.read(history)
        return climb


class _Climb:
    """The current climb: what the trials say that have ended, whenever the others were asked for."""

    def __init__(self, strategy: LocalSearch, space: SearchSpace) -> None:
        self._n_random, self._full = strategy.initial, strategy.full_neighborhood
        self._restarts = strategy.at_optimum == "restart"
        self._space = space
        self._ended: set[int] = set()
        self._begin()

    def _begin(self) -> None:
        self.incumbent: Member | None = None
        self._trials = 0
        self._members: list[Member] = []  # best first, without incumbents whose neighbours have all ended
        self._neighborhoods: dict[int, Neighborhood] = {}

    def read(self, history: History) -> None:
        """Take in the trials that have ended since the last time."""
        if len(history) - len(history.running) > len(self._ended):
            try:
                for trial in history.finished[len(self._ended) :]:
                    self._add(trial, history)
            except BaseException:  # a trial that is half taken in would be lost: all are taken in again
                self._ended = set()
                self._begin()
                raise

    def _add(self, trial: Trial, history: History) -> None:
        self._ended.add(trial.id)
        self._trials += 1
        if trial.state is TrialState.COMPLETED:
            insort(self._members, (_rank(trial, history), len(self._ended), trial))
        if not self._members or self._trials < self._n_random:
            return
        if self.incumbent is None or (not self._full and self._members[0] < self.incumbent):
            self._move(self._members[0])
        while self.incumbent and self.neighborhood(self.incumbent).all_ended(history, self._ended):
            self._leave(self.incumbent)

    def _move(self, member: Member) -> None:
        if self.incumbent is not None and self._restarts:
            self._neighborhoods.pop(self.incumbent[1], None)
        self.incumbent = member

    def _leave(self, spent: Member) -> None:
        """Go on from an incumbent whose neighbours have all ended."""
        del self._members[bisect_left(self._members, spent)]
        self._neighborhoods.pop(spent[1], None)
        following = self._members[0] if self._members else None
        if self._restarts and (following is None or following[0] >= spent[0]):
            self._begin()
        else:
            self.incumbent = following

    def sources(self) -> Iterator[Member]:
        """Yield the members whose neighbours are worth a trial, the incumbent first."""
        if self.incumbent is None:
            return
        yield self.incumbent
        for member in self._members:
            if self._restarts and member[0] >= self.incumbent[0]:
                return
            if member is not self.incumbent:
                yield member

    def neighborhood(self, member: Member) -> Neighborhood:
        _, order, trial = member
        if order not in self._neighborhoods:
            self._neighborhoods[order] = Neighborhood(self._space, trial.architecture)
        return self._neighborhoods[order]


def _rank(trial: Trial, history: History) -> Rank:
    violation = history.violation(trial)
    return (violation, 0.0 if violation else -history.gains(trial)[0])


class Neighborhood:
    """The neighbours of an architecture, made one by one, as a constraint may be dear to check.

    What it keeps are facts that no later trial changes: which neighbour has a trial, and which one is refused.

    Args:
        space: the search space.
        center: an architecture that has a trial.
    """

    def __init__(self, space: SearchSpace, center: Architecture) -> None:
        self._space, self._center = space, center
        self._changes = [
            (choice.label, option)
            for choice in space.choices
            if choice.label in center
            for option in choice.options
            if option != center[choice.label]
        ]
        self._trials: dict[int, int | None] = {}  # of a change: the trial, None where the neighbour is refused
        self._made: dict[int, Architecture] = {}
        self._n_ended = 0

    def untried(self, history: History, keys: NDArray[np.float64]) -> Architecture | None:
        """Return the neighbour without a trial whose change has the smallest key; None where every one has a trial.

        Args:
            history: what is known.
            keys: random numbers, at least as many as there are changes.
        """
        if len(self._trials) == len(self._changes):
            return None
        for change in np.argsort(keys[: len(self._changes)], kind="stable").tolist():
            if change not in self._trials:
                neighbor = self._look(change, history)
                if neighbor is not None:
                    return neighbor
        return None

    def all_ended(self, history: History, ended: set[int]) -> bool:
        """Return whether every neighbour that the space accepts is among the trials that have ended."""
        while self._n_ended < len(self._changes):
            change = self._n_ended
            if change not in self._trials and self._look(change, history) is not None:
                return False
            trial = self._trials[change]
            if trial is not None and trial not in ended:
                return False
            self._n_ended += 1
        return True

    def _look(self, change: int, history: History) -> Architecture | None:
        """Return the neighbour of a change where it can be tried; else note why not."""
        neighbor = self._made.get(change)
        if neighbor is None:
            neighbor = self._space.changed(self._center, *self._changes[change])
        trial = history.trial_of(neighbor)
        if trial is None and (change in self._made or self._space.accepts(neighbor)):
            self._made[change] = neighbor
            return neighbor
        self._made.pop(change, None)
        self._trials[change] = None if trial is None else trial.id
        return None
