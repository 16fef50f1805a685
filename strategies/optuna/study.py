"""An Optuna study in memory that is cheap to make anew, and a trial of it, for which a sampler is asked."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from optuna import load_study
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.pruners import NopPruner
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

NAME = "replay"
BEGINNING = datetime(1970, 1, 1)


class _SharedTrial(FrozenTrial):
    """A trial that several studies hold; a storage replaces its trials and never changes them."""

    def __deepcopy__(self, memo: object) -> FrozenTrial:
        return copy.copy(self)


class SharedOptions(CategoricalDistribution):
    """The options of a choice; samplers compare them for every trial, most often with themselves."""

    def __eq__(self, other: object) -> bool:
        return self is other or super().__eq__(other)

    __hash__ = CategoricalDistribution.__hash__


class SharingStorage(InMemoryStorage):
    """A study in memory that is made of trials that are not copied, and in which no time passes."""

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Keep the trial itself, not a copy."""
        return super().create_new_trial(study_id, template_trial or _new_trial())

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Set the state, and the same end for every trial."""
        changed = super().set_trial_state_values(trial_id, state, values)
        self.get_trial(trial_id).datetime_complete = BEGINNING
        return changed


def _new_trial() -> FrozenTrial:
    return _SharedTrial(-1, TrialState.RUNNING, None, BEGINNING, None, {}, {}, {}, {}, {}, -1)


class Asked:
    """A new trial of a study, and the sampler that is asked for it."""

    def __init__(self, storage: InMemoryStorage, sampler: BaseSampler) -> None:
        self._storage, self._sampler = storage, sampler
        # A study of its own, because one keeps what it has read of the trials.
        self._study = load_study(study_name=NAME, storage=storage, sampler=sampler, pruner=NopPruner())
        self._id = storage.create_new_trial(storage.get_study_id_from_name(NAME))
        self._together: dict[str, Any] = {}

    def sample_together(self) -> None:
        """Let the sampler prepare the trial, and work out those parameters that it regards together."""
        trial = self._storage.get_trial(self._id)
        self._sampler.before_trial(self._study, trial)
        space = self._sampler.infer_relative_search_space(self._study, trial)
        self._together = self._sampler.sample_relative(self._study, self._storage.get_trial(self._id), space)

    def sample(self, name: str, distribution: BaseDistribution) -> Any:
        """Return the value of a parameter and set it."""
        if name in self._together:
            value = self._together[name]
        elif distribution.single():
            value = distribution.to_external_repr(0)
        else:
            trial = self._storage.get_trial(self._id)
            value = self._sampler.sample_independent(self._study, trial, name, distribution)
        return self.set(name, distribution, value)

    def set(self, name: str, distribution: BaseDistribution, value: Any) -> Any:
        """Set a parameter, and return its value."""
        inner = distribution.to_internal_repr(value)
        self._storage.set_trial_param(self._id, name, inner, distribution)
        return distribution.to_external_repr(inner)

    def report(self, values: Mapping[int, float]) -> None:
        """Set partial results, by step."""
        for step, value in values.items():
            self._storage.set_trial_intermediate_value(self._id, step, value)

    def finish(
        self, state: TrialState, values: Sequence[float] | None, violation: float | None, *, after_trial: bool
    ) -> FrozenTrial:
        """End the trial, and return it."""
        if after_trial:
            self._sampler.after_trial(self._study, self._storage.get_trial(self._id), state, values)
        if violation is not None:
            self._storage.set_trial_system_attr(self._id, "constraints", [violation])
        self._storage.set_trial_state_values(self._id, state, values)
        return self._storage.get_trial(self._id)
