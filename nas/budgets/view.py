"""What a strategy sees of a search with budgets: a history at one budget."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from autopanoptic.nas.trials.budget import Budget
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.reports import Reports
from autopanoptic.nas.trials.trial import Trial, TrialState


class View:
    """Shows a history as if it were of one budget, so that values at different budgets are never compared.

    The budget is the largest at which at least ``enough`` trials have been measured, as in BOHB (Falkner et al. 2018,
    "BOHB: robust and efficient hyperparameter optimization at scale"); until then the one at which most have been, the
    smallest of equals. A trial that has been measured at it is completed, with its metrics there. One that has not,
    because it is paused below, has failed on its way there or began with more, is stopped: it has no metrics, and ranks
    where it stood at the budgets at which it was measured. One that is evaluated for the first time is running. What
    was measured of a trial at each budget is shown as its reports, with the budget as the step, in place of what its
    evaluator reported. Their order is that of the trials; that of their ends is the one in which they reached the
    budget, or were stopped.

    What a view shows follows from the history alone. Strategies take for granted that trials which have ended stay as
    they are, so where one is measured again, or the budget changes, they see another history.

    Args:
        enough: how many trials a strategy learns from.
    """

    def __init__(self, enough: int) -> None:
        self._enough = enough
        self._source: History | None = None
        self._view = History(())
        self._read = self._budget = 0
        self._measured: Counter[int] = Counter()
        """How many trials have been measured at each budget."""
        self._interrupted = False

    def of(self, history: History) -> History:
        """Return what a strategy sees of a history; the same object as long as it only grows."""
        if self._source is not history or self._interrupted:
            self._begin(history)
        self._interrupted = True  # in case that Ctrl-C comes
        new = history.evaluated_since(self._read)
        self._measured.update(budget for _, budget in new if budget)
        budget = self._budget_to_show()
        if budget != self._budget or self._come_to_it(new):
            self._view, self._budget = History(history.objectives, history.constraints), budget
            new = history.evaluated_since(0)
        self._show(history, new)
        self._read = history.n_evaluated
        self._interrupted = False
        return self._view

    def _begin(self, history: History) -> None:
        self._source, self._view = history, History(history.objectives, history.constraints)
        self._read, self._budget = 0, 0
        self._measured = Counter()

    def _budget_to_show(self) -> int:
        learned = [budget for budget, count in self._measured.items() if count >= self._enough]
        return max(learned, default=max(sorted(self._measured), key=self._measured.__getitem__, default=0))

    def _come_to_it(self, new: list[tuple[int, int]]) -> bool:
        """Return whether a trial that is shown as stopped has been measured at the budget."""
        return any(budget == self._budget and self._has_ended(trial_id) for trial_id, budget in new if budget)

    def _has_ended(self, trial_id: int) -> bool:
        return trial_id < len(self._view) and self._view[trial_id].state is not TrialState.RUNNING

    def _show(self, history: History, new: list[tuple[int, int]]) -> None:
        again = {trial_id for trial_id, budget in new if budget and self._has_ended(trial_id)}
        if again:
            self._view = self._view.copy()
        for trial_id in again:
            self._view.annotate(self._shown(history[trial_id]))
        for trial in history[len(self._view) :]:
            self._view.add(Trial(trial.id, trial.architecture, budget=_begun_with(trial)))
        for trial_id, budget in new:
            shown = self._shown(history[trial_id])
            comes_here = shown.state is not TrialState.COMPLETED or budget == self._budget
            if comes_here and not self._has_ended(trial_id):
                self._view.update(shown)

    def _shown(self, trial: Trial) -> Trial:
        """Return a trial whose first evaluation has ended as a strategy sees it."""
        reports = Reports((result.budget, result.metrics) for result in trial.rungs)
        shown = Trial(trial.id, trial.architecture, reports=reports, budget=_begun_with(trial), seconds=trial.seconds)
        there = next((result for result in trial.rungs if result.budget == self._budget), None)
        if there is not None:
            shown = replace(shown, state=TrialState.COMPLETED, metrics=there.metrics, seconds=there.seconds)
            return replace(shown, budget=Budget(0, there.budget), rungs=(there,))
        if trial.rungs:
            last = trial.rungs[-1]
            return replace(shown, state=TrialState.STOPPED, seconds=last.seconds, budget=Budget(0, last.budget))
        if trial.state is TrialState.FAILED:
            return replace(shown, state=TrialState.FAILED, error=trial.error)
        return replace(shown, state=TrialState.STOPPED)


def _begun_with(trial: Trial) -> Budget | None:
    return Budget(0, trial.rungs[0].budget) if trial.rungs else trial.budget
