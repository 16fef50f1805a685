"""What a strategy sees of a search with budgets: a history at one budget."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from autopanoptic.nas.trials.budget import Budget, RungResult
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import Trial, TrialState


class View:
    """Shows a history as if it were of one budget, so that values at different budgets are never compared.

    The budget is the largest that at least ``enough`` trials have reached, as in BOHB (Falkner et al. 2018, "BOHB:
    robust and efficient hyperparameter optimization at scale"), and the first one until then. A trial that has reached
    it is completed, with its metrics at that budget, or at the next larger one where it was not measured at it. One
    that has not, because it is paused below or has failed on its way there, is stopped: it has no metrics. One that is
    evaluated for the first time is running. Their order is that of the trials; that of their ends is the one in which
    they reached the budget, or stopped. Reports are not shown.

    What a view shows follows from the history alone. Strategies take for granted that trials which have ended stay as
    they are, so where a promoted trial reaches the budget later, or the budget rises, they see another history.

    Args:
        enough: how many trials a strategy learns from.
    """

    def __init__(self, enough: int) -> None:
        self._enough = enough
        self._source: History | None = None
        self._view = History(())
        self._read = self._budget = 0
        self._reached: Counter[int] = Counter()
        """How many trials have reached each budget, and no larger one."""
        self._interrupted = False

    def of(self, history: History) -> History:
        """Return what a strategy sees of a history; the same object as long as it only grows."""
        if self._source is not history or self._interrupted:
            self._begin(history)
        self._interrupted = True  # in case that Ctrl-C comes
        new = history.evaluated_since(self._read)
        self._count(history, new)
        budget = self._largest_with_enough()
        if budget != self._budget or self._revised(new):
            self._view, self._budget = History(history.objectives, history.constraints), budget
            new = history.evaluated_since(0)
        self._show(history, new)
        self._read = history.n_evaluated
        self._interrupted = False
        return self._view

    def _begin(self, history: History) -> None:
        self._source, self._view = history, History(history.objectives, history.constraints)
        self._read, self._budget = 0, 0
        self._reached = Counter()

    def _count(self, history: History, new: list[tuple[int, int]]) -> None:
        for trial_id, budget in new:
            if budget:
                before = [result.budget for result in history[trial_id].rungs if result.budget < budget]
                self._reached[budget] += 1
                if before:
                    self._reached[before[-1]] -= 1

    def _largest_with_enough(self) -> int:
        count = 0
        for budget in sorted(self._reached, reverse=True):
            count += self._reached[budget]
            if count >= self._enough:
                return budget
        return 0

    def _revised(self, new: list[tuple[int, int]]) -> bool:
        """Return whether a trial that has ended without a result at the budget has one now."""
        return any(
            budget >= max(self._budget, 1)
            and trial_id < len(self._view)
            and self._view[trial_id].state is TrialState.STOPPED
            for trial_id, budget in new
        )

    def _show(self, history: History, new: list[tuple[int, int]]) -> None:
        for trial in history[len(self._view) :]:
            self._view.add(Trial(trial.id, trial.architecture, budget=_begun_with(trial)))
        for trial_id, budget in new:
            result = _result_at(history[trial_id], self._budget)
            is_it = result is None or result.budget == budget
            if is_it and self._view[trial_id].state is TrialState.RUNNING:
                self._view.update(_shown(history[trial_id], result))


def _result_at(trial: Trial, budget: int) -> RungResult | None:
    return next((result for result in trial.rungs if result.budget >= budget), None)


def _begun_with(trial: Trial) -> Budget | None:
    if trial.rungs:
        return Budget(0, trial.rungs[0].budget)
    return trial.budget


def _shown(trial: Trial, result: RungResult | None) -> Trial:
    """Return a trial as a strategy sees it, with its result at the budget; None where it has not come so far."""
    shown = Trial(trial.id, trial.architecture, budget=_begun_with(trial))
    if result is not None:
        return replace(
            shown,
            state=TrialState.COMPLETED,
            metrics=result.metrics,
            seconds=result.seconds,
            budget=Budget(0, result.budget),
            rungs=(result,),
        )
    if trial.state is TrialState.FAILED and not trial.rungs:
        return replace(shown, state=TrialState.FAILED, error=trial.error, seconds=trial.seconds)
    return replace(shown, state=TrialState.STOPPED, seconds=trial.rungs[0].seconds if trial.rungs else trial.seconds)
