"""A search's history as an Optuna study in memory, for Optuna's samplers to go on from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.trials import trial as nas
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Objective
from autopanoptic.strategies.optuna.state import regard_constraints
from autopanoptic.strategies.optuna.study import NAME, Asked, SharedOptions, SharingStorage

STATES = {
    nas.TrialState.COMPLETED: TrialState.COMPLETE,
    nas.TrialState.FAILED: TrialState.FAIL,
    nas.TrialState.STOPPED: TrialState.PRUNED,
}


def is_ordinal(choice: Choice) -> bool:
    """Return whether a choice is one among several numbers."""
    numbers = all(isinstance(option, (int, float)) and not isinstance(option, bool) for option in choice.options)
    return numbers and len(choice.options) > 1


class Replay:
    """The finished trials of a history as those of an Optuna study, in the order in which they ended.

    Args:
        space: the space of the search.
        objectives: its objectives; the study maximises their gains.
        ordinal: labels of the choices whose options are given as their ranks, a whole number from 0; the options of
            the others are categories.
        asks: whether the sampler is asked for each trial again, because it writes into the study what it needs later.
    """

    def __init__(
        self, space: SearchSpace, objectives: Sequence[Objective], ordinal: frozenset[str], asks: bool
    ) -> None:
        self._space = space
        self._directions = [StudyDirection.MAXIMIZE] * len(objectives)
        self._ranked = {c.label: sorted(c.options) for c in space.choices if c.label in ordinal}
        self._distributions = {choice.label: self._distribution(choice) for choice in space.choices}
        self._asks = asks
        self._trials: list[FrozenTrial] = []
        self._attributes: dict[str, Any] = {}
        self._constrained = False

    def _distribution(self, choice: Choice) -> BaseDistribution:
        if choice.label in self._ranked:
            return IntDistribution(0, len(choice.options) - 1)
        return SharedOptions(choice.options)

    def storage(self, history: History, make: Callable[[], BaseSampler]) -> InMemoryStorage:
        """Return a new study of a history, with the running trials last; ``make`` makes samplers to be asked again."""
        new = self._new(history)
        storage = SharingStorage()
        study_id = storage.create_new_study(self._directions, NAME)
        for name, value in self._attributes.items():
            storage.set_study_system_attr(study_id, name, value)
        for known in self._trials:
            storage.create_new_trial(study_id, known)
        entered = [self._finished(self._ask(storage, make()), trial, history) for trial in new]
        self._trials, self._attributes = self._trials + entered, dict(storage.get_study_system_attrs(study_id))
        for trial in history.running:
            self._enter(self._ask(storage, make()), trial)
        return storage

    def _new(self, history: History) -> list[nas.Trial]:
        """Return the finished trials that are yet to be entered: all, when the first of them breaks a constraint.

        Samplers want constraints of all trials or of none, and those that no trial breaks only cost time.
        """
        new = history.finished[len(self._trials) :]
        if not self._constrained and any(_violation(trial, history) for trial in new):
            self._constrained, self._trials, self._attributes = True, [], {}
            return history.finished
        return new

    def _ask(self, storage: InMemoryStorage, sampler: BaseSampler) -> Asked:
        if self._constrained:
            regard_constraints(sampler)
        return Asked(storage, sampler)

    def suggest(self, storage: InMemoryStorage, sampler: BaseSampler) -> Architecture:
        """Return the architecture that a sampler suggests, choice by choice, and leave it in the study as running."""
        asked, options = self._ask(storage, sampler), dict[str, Option]()
        asked.sample_together()
        for choice in self._space.choices:
            if choice.active(options):
                value = asked.sample(choice.label, self._distributions[choice.label])
                options[choice.label] = self._ranked[choice.label][value] if choice.label in self._ranked else value
        return self._space.canonical(options)

    def _enter(self, asked: Asked, trial: nas.Trial) -> None:
        if self._asks:
            asked.sample_together()
        for label, option in trial.architecture.items():
            value = self._ranked[label].index(option) if label in self._ranked else option
            asked.set(label, self._distributions[label], value)

    def _finished(self, asked: Asked, trial: nas.Trial, history: History) -> FrozenTrial:
        self._enter(asked, trial)
        state, main = STATES[trial.state], history.objectives[0]
        if len(history.objectives) == 1:
            asked.report({step: main.gain(metrics) for step, metrics in trial.reports if main.name in metrics})
        elif state is TrialState.PRUNED:  # which Optuna does not know where there are several objectives
            state = TrialState.FAIL
        values = history.gains(trial) if state is TrialState.COMPLETE else None
        violation = _violation(trial, history) if self._constrained else None
        return asked.finish(state, values, violation, after_trial=self._asks)


def _violation(trial: nas.Trial, history: History) -> float:
    return history.violation(trial) if trial.state is nas.TrialState.COMPLETED else 0.0
