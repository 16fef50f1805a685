"""Where trials are asked for, reported on and told of; each becomes an event."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np

from autopanoptic.nas.budgets.schedule import FixedBudget, Promotion
from autopanoptic.nas.budgets.view import View
from autopanoptic.nas.evaluation.attributes import checked_attributes
from autopanoptic.nas.evaluation.context import Context
from autopanoptic.nas.evaluation.evaluator import Metrics
from autopanoptic.nas.evaluation.metrics import MissingObjectiveError, checked, checked_seconds, whole_step
from autopanoptic.nas.search.attempts import Attempts
from autopanoptic.nas.search.completion import Completion
from autopanoptic.nas.search.errors import SearchError
from autopanoptic.nas.search.ledger import Ledger
from autopanoptic.nas.search.limits import require_whole
from autopanoptic.nas.search.opening import Definition
from autopanoptic.nas.search.proposals import Proposals, propose_batch
from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.storage.folders import TrialFolders
from autopanoptic.nas.trials.budget import Budget
from autopanoptic.nas.trials.evaluations import means
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import Trial, TrialState

logger = logging.getLogger(__name__)


class Desk:
    """Serves those who evaluate a search's trials, from any thread; :class:`Search` says what its methods promise.

    Args:
        definition: of the search.
        ledger: where the events are recorded.
        completion: makes what an evaluation gave the metrics of a trial.
        initial: the architectures to hand out first.
        attempts: of which a promoted trial has as many as a new one.
        folders: of the trials; None where they have none.
    """

    def __init__(
        self,
        definition: Definition,
        ledger: Ledger,
        completion: Completion,
        initial: list[Architecture],
        attempts: Attempts,
        folders: TrialFolders | None = None,
    ) -> None:
        self._definition, self._ledger, self._attempts = definition, ledger, attempts
        self._completion, self._folders = completion, folders
        self._late: set[int] = set()
        self._view = _view_of(definition)
        self._proposals = Proposals(definition.strategy, definition.space, definition.seed, initial)
        self.run_again()

    @property
    def _history(self) -> History:
        return self._ledger.history

    @property
    def _seen(self) -> History:
        """What the strategy sees."""
        return self._history if self._view is None else self._view.of(self._history)

    def run_again(self) -> None:
        """Have the running trials handed out once more, before any other."""
        self._again = [trial.id for trial in self._history.running]

    @property
    def waiting(self) -> bool:
        """Whether a trial that is not new waits: one that was interrupted, or that is to be promoted."""
        again = any(self._history[trial_id].state is TrialState.RUNNING for trial_id in self._again)
        return again or self._promotion(last=False) is not None

    def ask(self, *, new: bool = True, held: Container[int] = ()) -> Trial | None:
        """Return the next trial; see :meth:`Search.ask`.

        Args:
            new: whether it may be one that has not been asked for before.
            held: interrupted trials that do not begin again, for their results are known.
        """
        with self._ledger.lock:
            return self._interrupted_one(held) or self._promoted(last=False) or (self._new_one() if new else None)

    def _interrupted_one(self, held: Container[int]) -> Trial | None:
        while self._again:
            trial_id = self._again[0]
            if self._history[trial_id].state is TrialState.RUNNING:
                known = trial_id in held
                trial = self._history[trial_id] if known else self._ledger.record_trial("restarted", trial_id)
                self._again.pop(0)
                return trial
            self._again.pop(0)  # it has been told of since
        return None

    def _promoted(self, *, last: bool) -> Trial | None:
        found = self._promotion(last=last)
        if found is None:
            return None
        self._attempts.start_anew(found.trial_id)
        kept = len(self._history[found.trial_id].evaluations) if self._definition.repeats.schedule else 0
        others = {"kept": kept} if kept else {}
        with self._handing_out([found.trial_id]):
            return self._ledger.record_trial("promoted", found.trial_id, budget=found.budget, **others)

    @contextmanager
    def _handing_out(self, trial_ids: Iterable[int]) -> Iterator[None]:
        """See to it that trials which begin to run as Ctrl-C comes, so that nobody has got them, are the next ones."""
        try:
            yield
        except BaseException:
            for trial_id in trial_ids:
                if trial_id < len(self._history) and self._history[trial_id].state is TrialState.RUNNING:
                    self._again.append(trial_id)
            raise

    def _promotion(self, *, last: bool) -> Promotion | None:
        schedule = self._definition.schedule
        return None if schedule is None else schedule.promotion(self._history, last=last)

    def _new_one(self) -> Trial | None:
        number = len(self._history)
        architecture = self._proposals.next(self._seen)
        if architecture is None:
            # Nothing else comes by itself then.
            return None if self._history.n_running else self._promoted(last=True)
        with self._handing_out([number]):
            return self._ledger.record_asked([architecture], [self._budget_of(number)])[0]

    def _budget_of(self, number: int) -> Budget | None:
        schedule = self._definition.schedule
        return None if schedule is None else Budget(0, schedule.first(number))

    def ask_batch(self, count: int, held: Container[int] = ()) -> list[Trial]:
        """Return the next trials, at most so many; see :meth:`Search.ask`, and :meth:`ask` for ``held``."""
        require_whole("the number of trials to ask for", count, low=1)
        with self._ledger.lock:
            found: list[Trial] = []
            try:
                with self._ledger.together():
                    while len(found) < count and (more := self._some(count - len(found), held)):
                        found += more
            except BaseException:
                # The caller learns nothing of those that are there, so they are the first of the next call.
                self._again[:0] = [trial.id for trial in found]
                raise
            return found

    def _some(self, count: int, held: Container[int]) -> list[Trial]:
        if not self.waiting and self._proposals.first(self._history) is None:
            search = self._definition
            batch = propose_batch(search.strategy, search.space, self._seen, search.seed, count)
            if batch:
                numbers = range(len(self._history), len(self._history) + len(batch))
                with self._handing_out(numbers):
                    return self._ledger.record_asked(batch, [self._budget_of(number) for number in numbers])
        trial = self.ask(held=held)
        return [] if trial is None else [trial]

    def think(self) -> Architecture | None:
        """Have the next proposal ready before it is asked for, where nothing can change it.

        With budgets everything can: what the strategy sees depends on how far the trials have come.

        Returns:
            The proposal, where it has just been made.
        """
        with self._ledger.lock:
            if self.waiting or self._view is not None:
                return None
            return self._proposals.think(self._history)

    def report(self, trial: Trial, step: int, metrics: Metrics) -> bool:
        """Take a partial result, and return whether to stop the trial; see :meth:`Search.report`."""
        number, found = whole_step(step), checked(metrics)
        stopper = self._definition.stopper
        with self._ledger.lock:
            if not self._is_running(trial):
                if not 0 <= trial.id < len(self._history):
                    raise ValueError(f"There is no trial {trial.id} to report on.")
                self._say_late(trial, number)
                return False
            costs = self._costs_for_stopper(self._history[trial.id])
            trial = self._ledger.record_trial("reported", trial.id, step=number, metrics=found, **costs)
            return stopper is not None and stopper.should_stop(self._history, trial, number, found)

    def _costs_for_stopper(self, trial: Trial) -> dict[str, dict[str, float]]:
        """Return a trial's costs with its first report; they are written down, as a measured cost is never the same."""
        if self._definition.stopper is None or trial.reports:
            return {}
        costs = self._definition.costs.of(trial.architecture)
        return {"costs": costs} if costs else {}

    def _is_running(self, trial: Trial) -> bool:
        known = 0 <= trial.id < len(self._history)
        return known and self._history[trial.id].state is TrialState.RUNNING

    def _say_late(self, trial: Trial, step: int) -> None:
        if trial.id not in self._late:
            self._late.add(trial.id)
            logger.warning("Trial %d is not running any more; its report of step %d is dropped.", trial.id, step)

    def tell(
        self,
        trial: Trial,
        metrics: Metrics | None = None,
        error: str | None = None,
        *,
        stopped: bool = False,
        seconds: float = 0.0,
    ) -> Trial:
        """Take a result, and return the trial as it ended; see :meth:`Search.tell`."""
        if (metrics is not None) + (error is not None) + stopped != 1:
            raise ValueError("Tell either metrics or an error, or that the trial was stopped.")
        if not isinstance(error, (str, NoneType)):
            raise TypeError(f"An error is told as a text, not as {error!r}.")
        took = checked_seconds(seconds)
        with self._ledger.lock:
            if not self._is_running(trial):
                raise ValueError(f"Trial {trial.id} is not running.")
            trial = self._history[trial.id]
            if stopped:
                return self._ledger.record_trial("stopped", trial.id, seconds=took)
            if metrics is None:
                return self._ledger.record_trial("failed", trial.id, error=error, seconds=took)
            return self._tell_metrics(trial, metrics, took)

    def _tell_metrics(self, trial: Trial, metrics: Metrics, seconds: float) -> Trial:
        try:
            found = self._completion.metrics(trial.architecture, metrics)
        except MissingObjectiveError as problem:
            self._ledger.record("failed", trial=trial.id, error=str(problem), seconds=seconds)
            raise SearchError(str(problem)) from problem
        except ValueError as problem:
            return self._ledger.record_trial("failed", trial.id, error=str(problem), seconds=seconds)
        if self._definition.repeats.count == 1:
            return self._record_result(trial, found, seconds)
        return self._tell_one_of_several(trial, checked(metrics), seconds)

    def _tell_one_of_several(self, trial: Trial, metrics: dict[str, float], seconds: float) -> Trial:
        several = [*(evaluation.metrics for evaluation in trial.evaluations), metrics]
        if metrics.keys() != several[0].keys():
            error = f"An evaluation before gave the metrics {sorted(several[0])}, but this one gave {sorted(metrics)}."
            return self._ledger.record_trial("failed", trial.id, error=error, seconds=seconds)
        search = self._definition
        if not search.repeats.are_done(self._history, trial, several, search.costs):
            self._attempts.start_anew(trial.id)
            return self._ledger.record_trial("evaluated", trial.id, metrics=metrics, seconds=seconds)
        found = self._completion.metrics(trial.architecture, means(several))
        return self._record_result(trial, found, seconds, evaluation=metrics)

    def _record_result(self, trial: Trial, metrics: dict[str, float], seconds: float, **others: Any) -> Trial:
        schedule = self._definition.schedule
        values = {"metrics": metrics, "seconds": seconds, **others}
        if schedule is None or trial.budget is None:
            return self._ledger.record_trial("completed", trial.id, **values)
        kind = "completed" if trial.budget.end >= schedule.largest else "paused"
        return self._ledger.record_trial(kind, trial.id, budget=trial.budget.end, **values)

    def set_attribute(self, trial: Trial, name: str, value: Any) -> Trial:
        """Keep a value with a trial; see :meth:`Search.set_attribute`."""
        attributes = checked_attributes({name: value})
        with self._ledger.lock:
            if not 0 <= trial.id < len(self._history):
                raise ValueError(f"There is no trial {trial.id} to keep {name!r} with.")
            return self._ledger.record_trial("annotated", trial.id, attributes=attributes)

    def context_of(self, trial: Trial) -> Context:
        """Return what an evaluator of a trial is told; see :meth:`Search.context_of`."""
        with self._ledger.lock:
            trial = self._history[trial.id]
        repeat, search = len(trial.evaluations), self._definition
        seed = int(np.random.SeedSequence([search.seed, trial.id, repeat]).generate_state(1)[0])
        location = self._location(trial.id, repeat)
        return Context(trial.id, self._from_the_start(trial, location), repeat, seed, location)

    def _from_the_start(self, trial: Trial, location: Path | None) -> Budget | None:
        """Return a trial's budget, which begins at 0 where the folder with what the trial had trained was removed."""
        if self._definition.repeats.schedule is not None:
            return None  # its budgets are evaluations, of which the evaluator makes one at a time
        budget, folders = trial.budget, self._folders
        if budget is None or not budget.start or folders is None or location is None:
            return budget
        if not folders.has_lost(trial.id, location):
            return budget
        logger.warning(
            "Trial %d goes on, but its folder was removed when the search had come to its end, so that it begins at 0, "
            "not at %d. Without keep_best= the folders stay for a search that is to go on.",
            trial.id,
            budget.start,
        )
        return budget._replace(start=0)

    def _location(self, trial_id: int, repeat: int) -> Path | None:
        if self._folders is None:
            return None
        self._folders.claim()
        folder = self._folders.of(trial_id)
        # What one evaluation leaves for when it is run again is not for another to find.
        return folder if self._definition.repeats.count == 1 else folder / f"repeat-{repeat}"


def _view_of(definition: Definition) -> View | None:
    """Return what shows the strategy a search whose trials have different budgets; None where all have the same."""
    schedule = definition.schedule
    if schedule is None or isinstance(schedule, FixedBudget):
        return None
    enough = schedule.enough
    return View(len(definition.space.choices) + 1 if enough is None else enough)
