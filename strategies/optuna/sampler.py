"""Optuna's samplers as strategies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from autopanoptic.nas.results._optuna import quiet, require_optuna
from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.strategy import HistoryMemo, Strategy, unseen
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Objective

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from autopanoptic.strategies.optuna.replay import Replay

SUGGESTIONS = 3


class OptunaSampler(Strategy):
    """Lets a sampler of Optuna propose: TPE, a Gaussian process, NSGA-II, CMA-ES and others, or one of your own.

    Akiba et al. 2019, "Optuna: a next-generation hyperparameter optimization framework"; each sampler names its paper.
    Needs the extra ``autopanoptic[optuna]``, and ``CmaEsSampler`` the package ``cmaes``.

    Every proposal puts the history into a study in memory and asks a copy of the sampler, whose random states are
    seeded from the trial's generator. The study holds the trials that have ended in the order in which they did, then
    the running ones. Stopped trials are pruned ones with their reports, and paused ones with what was measured at their
    budgets; with several objectives, where Optuna does not prune, they are failed ones. The sampler sees the active
    choices of a trial; weights of options are not passed on.
    A suggestion that has been tried, or that the space's constraint refuses, is suggested anew, 3 times in all; then
    the last suggestion is mutated.

    A sampler that writes its state into the study (NSGA-II the generations, CMA-ES its distribution) is asked for the
    earlier trials again, to work it out from the history: a trial counts to the generation in which it ended.

    Bounds on measured metrics are passed on as one constraint, by how much a trial breaks them. TPE, the Gaussian
    process, NSGA-II and NSGA-III regard it; the other samplers search by the objectives alone.

    Args:
        sampler: a sampler that no study has used, such as ``TPESampler(multivariate=True)``. Its own seed is not used,
            but for that of ``QMCSampler(scramble=True)``, which must be given. Or a function that makes a sampler of a
            seed (a whole number from 0 below 2**32), where its random states are not found in its attributes.
        ordinal: whether options that are numbers are given in their order, as the whole numbers from 0, in place of
            categories. CMA-ES needs it: it searches the numbers among the choices that are always made, and
            leaves all others to its ``independent_sampler``.

    Raises:
        ImportError: when Optuna is not installed.
        TypeError: for what is no sampler, and for samplers that cannot be seeded, cannot be copied, or keep what the
            history does not tell: ``GridSampler`` (use :class:`GridSearch`), ``CmaEsSampler(with_margin=True)``,
            and any with a ``constraints_func``.
        ValueError: for a sampler that a study has used.
    """

    def __init__(self, sampler: BaseSampler | Callable[[int], BaseSampler], *, ordinal: bool = True) -> None:
        require_optuna("OptunaSampler")
        from autopanoptic.strategies.optuna import state

        self._make = state.maker(sampler)
        example = self._make(0)
        state.check_sampler(example)
        self._name, self._shown = type(example).__name__, state.described(example)
        self._asks, self._numbers = state.keeps_state(example), state.searches_numbers(example)
        self.ordinal = ordinal
        self._replays: HistoryMemo[Replay] = HistoryMemo()

    def __repr__(self) -> str:
        return f"OptunaSampler({self._shown}, ordinal={self.ordinal})"

    def check(self, space: SearchSpace, objectives: Sequence[Objective]) -> None:
        """Refuse objectives or a space that the sampler cannot search, by a suggestion for a first trial."""
        if self._numbers and not self._ordinal(space):
            raise ValueError(
                f"{self._name} searches the numbers among the choices that are always made, and OptunaSampler(..., "
                f"ordinal={self.ordinal}) finds none in {space!r}. "
                + ("Use another sampler." if self.ordinal else "Give ordinal=True, or use another sampler.")
            )
        try:
            next(self._suggestions(space, History(objectives), np.random.default_rng(0)))
        except ValueError as problem:
            names = [objective.name for objective in objectives]
            raise ValueError(f"{self._name} cannot search {space!r} for {names}: {problem}") from problem

    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture | None:
        """Return the first suggestion that is new and accepted, or a mutation of the last one."""
        if space.has_at_most(1):
            return unseen(space, history, rng)
        candidates = self._candidates(space, history, rng)
        return unseen(space, history, rng, lambda: next(candidates))

    def _candidates(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Iterator[Architecture]:
        for suggestion in islice(self._suggestions(space, history, rng), SUGGESTIONS):
            if space.accepts(suggestion):
                yield suggestion
        while True:
            yield space.mutate(suggestion, rng)

    def _suggestions(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Iterator[Architecture]:
        with quiet():
            replay = self._replays.get(history, space, lambda: self._new_replay(space, history))
            storage = replay.storage(history, self._asked_again())
            sampler = self._seeded(rng)
        while True:
            with quiet():
                suggestion = replay.suggest(storage, sampler)
            yield suggestion

    def _new_replay(self, space: SearchSpace, history: History) -> Replay:
        from autopanoptic.strategies.optuna.replay import Replay

        return Replay(space, history.objectives, self._ordinal(space), self._asks)

    def _ordinal(self, space: SearchSpace) -> frozenset[str]:
        """Return the labels of the choices whose options are given in their order."""
        from autopanoptic.strategies.optuna.replay import is_ordinal

        # CMA-ES gives up where the numbers it searches change from trial to trial, as those of conditional choices do.
        found = [c for c in space.choices if is_ordinal(c) and not (self._numbers and c.conditions)]
        return frozenset(choice.label for choice in found) if self.ordinal else frozenset()

    def _asked_again(self) -> Callable[[], BaseSampler]:
        """Return a function that makes the samplers that are asked for earlier trials, for each in the same state."""
        from autopanoptic.strategies.optuna.state import is_from_optuna, reseed

        # Each finds out what all trials have in common, which takes the longer the more there are.
        kept = self._make(0)
        keep = is_from_optuna(kept)

        def make() -> BaseSampler:
            sampler = kept if keep else self._make(0)
            reseed(sampler, np.random.default_rng(0))
            return sampler

        return make

    def _seeded(self, rng: np.random.Generator) -> BaseSampler:
        from autopanoptic.strategies.optuna.state import reseed

        sampler = self._make(int(rng.integers(2**32)))
        reseed(sampler, rng)
        return sampler
