"""The history of a search: all its trials in order, read-only for strategies."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.trials.dominance import first_front
from autopanoptic.nas.trials.objective import Constraint, Objective
from autopanoptic.nas.trials.pareto import ranking
from autopanoptic.nas.trials.trial import Trial, TrialState, begun_again


class History(Sequence[Trial]):
    """All trials of one search; ``history[n]`` is trial n.

    Strategies only read it. :class:`Search` writes it through :meth:`add`, :meth:`update`, :meth:`annotate`,
    :meth:`promote` and :meth:`reopen`.

    In a search with a schedule of budgets, trials that are paused have neither ended nor do they run, and those that
    are completed have been evaluated with the largest budget.

    Args:
        objectives: what ranks the trials; the first is the main one.
        constraints: bounds on metrics. A trial that breaks one is worse than every trial that breaks none.
    """

    def __init__(self, objectives: Sequence[Objective], constraints: Sequence[Constraint] = ()) -> None:
        self.objectives = tuple(objectives)
        self.constraints = tuple(constraints)
        self._trials: list[Trial] = []
        self._of: dict[Architecture, int] = {}
        self._finished: list[int] = []
        self._completed: list[int] = []
        self._running: dict[int, None] = {}
        self._paused: dict[int, None] = {}
        self._evaluated: list[tuple[int, int]] = []

    @overload
    def __getitem__(self, index: int) -> Trial: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Trial]: ...
    def __getitem__(self, index: int | slice) -> Trial | Sequence[Trial]:
        return self._trials[index]

    def __len__(self) -> int:
        return len(self._trials)

    def __iter__(self) -> Iterator[Trial]:
        return iter(self._trials)

    def __contains__(self, item: object) -> bool:
        """Return whether a trial has this architecture, whatever became of it."""
        return item in self._of

    def trial_of(self, architecture: Architecture) -> Trial | None:
        """Return the trial of an architecture, or None where it has not been tried."""
        index = self._of.get(architecture)
        return None if index is None else self._trials[index]

    @property
    def running(self) -> list[Trial]:
        """The trials that are being evaluated, in the order in which their evaluations were asked for."""
        return [self._trials[index] for index in self._running]

    @property
    def paused(self) -> list[Trial]:
        """The trials that were evaluated with a budget and may go on with a larger one, in the order of the pauses."""
        return [self._trials[index] for index in self._paused]

    @property
    def n_running(self) -> int:
        """The number of trials that are being evaluated."""
        return len(self._running)

    @property
    def n_evaluated(self) -> int:
        """The number of evaluations that have ended, whatever came of them."""
        return len(self._evaluated)

    def evaluated_since(self, count: int) -> list[tuple[int, int]]:
        """Return what came of the evaluations that ended after the first ``count`` that did, in that order.

        Returns:
            The id of the trial, and the budget with which it was measured: 0 where it was not, and without budgets.
        """
        return self._evaluated[count:]

    @property
    def finished(self) -> list[Trial]:
        """The completed, failed and stopped trials, in the order in which they ended."""
        return [self._trials[index] for index in self._finished]

    @property
    def completed(self) -> list[Trial]:
        """The completed trials, in the order in which they ended."""
        return [self._trials[index] for index in self._completed]

    @property
    def n_completed(self) -> int:
        """The number of completed trials."""
        return len(self._completed)

    @property
    def n_finished(self) -> int:
        """The number of completed, failed and stopped trials."""
        return len(self._finished)

    def finished_since(self, count: int) -> list[Trial]:
        """Return the trials that ended after the first ``count`` that did, in that order."""
        return [self._trials[index] for index in self._finished[count:]]

    def completed_since(self, count: int) -> list[Trial]:
        """Return the trials that completed after the first ``count`` that did, in that order."""
        return [self._trials[index] for index in self._completed[count:]]

    def last_completed(self, count: int) -> list[Trial]:
        """Return the ``count`` trials that completed last, oldest first."""
        return [self._trials[index] for index in self._completed[-count:]] if count else []

    def gains(self, trial: Trial) -> tuple[float, ...]:
        """Return a completed trial's objectives, each negated where less is better, so that more is better."""
        return tuple(objective.gain(trial.metrics) for objective in self.objectives)

    def violation(self, trial: Trial) -> float:
        """Return by how much a completed trial breaks the constraints: 0 where it breaks none.

        The sum, over the constraints, of what lies beyond the bound, relative to the bound where that is not 0.
        """
        return sum(constraint.violation(trial.metrics[constraint.name]) for constraint in self.constraints)

    def ranked(self, trials: Iterable[Trial] | None = None) -> list[Trial]:
        """Return completed trials from best to worst.

        One objective ranks by value, several by non-dominated front and crowding distance; ties keep their order.
        Trials that break constraints come last, by :meth:`violation` (constraint domination, Deb et al. 2002, VI).

        Args:
            trials: what to rank, of which only the completed ones are; :attr:`leading` by default.
        """
        found = self.leading if trials is None else [t for t in trials if t.state is TrialState.COMPLETED]
        if not self.constraints:
            return self._by_objectives(found)
        violations = {trial.id: self.violation(trial) for trial in found}
        feasible = self._by_objectives([trial for trial in found if not violations[trial.id]])
        broken = [trial for trial in found if violations[trial.id]]
        return feasible + sorted(broken, key=lambda trial: violations[trial.id])

    def _by_objectives(self, trials: list[Trial]) -> list[Trial]:
        if len(self.objectives) == 1:
            main = self.objectives[0]
            return sorted(trials, key=lambda trial: main.gain(trial.metrics), reverse=True)
        if not trials:
            return []
        return [trials[index] for index in ranking([self.gains(trial) for trial in trials])]

    @property
    def leading(self) -> list[Trial]:
        """The completed trials; while there is none, those that were measured with the largest budget so far.

        Values at different budgets are never compared. Trials that failed or were stopped on the way to a larger
        budget are left out.
        """
        if self._completed or not self._evaluated:
            return self.completed
        alive = [self._trials[index] for index in (*self._paused, *self._running)]
        largest = max((trial.reached for trial in alive), default=0)
        return sorted((trial for trial in alive if trial.reached == largest > 0), key=lambda trial: trial.id)

    def _feasible(self) -> list[Trial]:
        return [trial for trial in self.leading if not self.violation(trial)] if self.constraints else self.leading

    @property
    def best(self) -> Trial | None:
        """The best of the :attr:`leading` trials by the main objective, within the constraints; the earliest of equals.

        None where there is none.
        """
        main = self.objectives[0]
        return max(self._feasible(), key=lambda trial: (main.gain(trial.metrics), -trial.id), default=None)

    def pareto(self, trials: Iterable[Trial] | None = None) -> list[Trial]:
        """Return the trials that break no constraint and that no other such trial dominates, by id.

        Args:
            trials: completed ones; the :attr:`leading` ones by default.
        """
        feasible = self._feasible() if trials is None else [trial for trial in trials if not self.violation(trial)]
        found = sorted(feasible, key=lambda trial: trial.id)
        if not found:
            return []
        front = first_front([self.gains(trial) for trial in found])
        return [found[index] for index in np.flatnonzero(front)]

    def check_add(self, trial: Trial) -> None:
        """Refuse what :meth:`add` cannot take, for the reasons given there; changes nothing."""
        if trial.id != len(self._trials) or trial.state is not TrialState.RUNNING:
            raise ValueError(f"The next trial must be running and have id {len(self._trials)}, not {trial}.")
        if trial.architecture in self._of:
            raise ValueError(f"Trial {self._of[trial.architecture]} has this architecture already: {trial}.")

    def add(self, trial: Trial, *, checked: bool = False) -> None:
        """Append a running trial.

        Args:
            trial: whose number is the next.
            checked: that :meth:`check_add` has let it pass.

        Raises:
            ValueError: when its id is not the next number, or its architecture has a trial already.
        """
        if not checked:
            self.check_add(trial)
        self._trials.append(trial)
        self._of[trial.architecture] = trial.id
        self._running[trial.id] = None

    def check_update(self, trial: Trial) -> None:
        """Refuse what :meth:`update` cannot take, for the reasons given there; changes nothing."""
        if trial.id not in self._running:
            raise ValueError(f"Trial {trial.id} is not running, so it cannot become {trial.state.value}.")
        known = self._trials[trial.id].architecture
        if trial.architecture is not known and trial.architecture != known:
            raise ValueError(f"Trial {trial.id} is of {known}, not {trial.architecture}.")
        if trial.state in (TrialState.COMPLETED, TrialState.PAUSED):
            self._check_metrics(trial)

    def update(self, trial: Trial, *, checked: bool = False) -> None:
        """Replace a running trial by its later state.

        Args:
            trial: as it is now.
            checked: that :meth:`check_update` has let it pass.

        Raises:
            ValueError: when the trial is not running, has another architecture now, or is completed or paused without
                a finite value of every objective and constraint.
        """
        if not checked:
            self.check_update(trial)
        self._trials[trial.id] = trial
        if trial.state is TrialState.RUNNING:
            return
        del self._running[trial.id]
        if trial.state is TrialState.PAUSED:
            self._paused[trial.id] = None
        else:
            self._finished.append(trial.id)
        if trial.state is TrialState.COMPLETED:
            self._completed.append(trial.id)
        has_result = trial.state in (TrialState.COMPLETED, TrialState.PAUSED)
        self._evaluated.append((trial.id, trial.reached if has_result else 0))

    def annotate(self, trial: Trial) -> None:
        """Replace a trial by one that differs from it in its attributes alone, whatever its state."""
        self._trials[trial.id] = trial

    def check_promote(self, trial: Trial) -> None:
        """Refuse what :meth:`promote` cannot take, for the reasons given there; changes nothing."""
        if trial.id not in self._paused:
            raise ValueError(f"Trial {trial.id} is {self[trial.id].state.value}, not paused, so it cannot go on.")
        if trial.budget is None or trial.budget.start != trial.reached or trial.budget.end <= trial.reached:
            raise ValueError(f"Trial {trial.id} has reached {trial.reached}, so its budget cannot be {trial.budget}.")

    def promote(self, trial: Trial) -> None:
        """Replace a paused trial by one that runs with a larger budget.

        Raises:
            ValueError: when the trial is not paused, or its budget does not go on from what it has reached.
        """
        self.check_promote(trial)
        self._trials[trial.id] = trial
        del self._paused[trial.id]
        self._running[trial.id] = None

    def check_reopen(self, trial_id: int) -> None:
        """Refuse what :meth:`reopen` cannot take, for the reason given there; changes nothing."""
        if not 0 <= trial_id < len(self) or self[trial_id].state is not TrialState.FAILED:
            raise ValueError(f"Trial {trial_id} has not failed, so it cannot be tried again.")

    def reopen(self, trial_id: int) -> None:
        """Let a failed trial run again, with the budget with which it failed.

        What strategies keep of a history takes for granted that trials which have ended stay so; where one may have
        seen this history already, reopen trials in a :meth:`copy`.

        Raises:
            ValueError: when the trial has not failed.
        """
        self.check_reopen(trial_id)
        self._trials[trial_id] = begun_again(self._trials[trial_id])
        self._finished.remove(trial_id)
        self._evaluated.remove((trial_id, 0))
        self._running[trial_id] = None

    def copy(self) -> History:
        """Return a history of the same trials, of which no strategy knows anything yet."""
        found = History(self.objectives, self.constraints)
        found._trials, found._of = self._trials.copy(), self._of.copy()
        found._finished, found._completed = self._finished.copy(), self._completed.copy()
        found._running, found._paused = self._running.copy(), self._paused.copy()
        found._evaluated = self._evaluated.copy()
        return found

    def _check_metrics(self, trial: Trial) -> None:
        for name in [*(o.name for o in self.objectives), *(c.name for c in self.constraints)]:
            if name not in trial.metrics:
                raise ValueError(f"Trial {trial.id} has no {name!r}; its metrics are {sorted(trial.metrics)}.")
            if not math.isfinite(trial.metrics[name]):
                raise ValueError(f"Trial {trial.id} has {name!r} = {trial.metrics[name]}, which cannot be ranked.")
