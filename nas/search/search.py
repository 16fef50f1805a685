"""The search: it asks the strategy, runs the evaluator, and writes everything down."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import NoneType
from typing import Any

from autopanoptic.nas.callbacks.base import Callback
from autopanoptic.nas.callbacks.calls import Callbacks
from autopanoptic.nas.costs.table import Constraints, Cost, CostTable
from autopanoptic.nas.evaluation.evaluator import Evaluator, Metrics, evaluator_of
from autopanoptic.nas.evaluation.metrics import MissingObjectiveError, checked, checked_seconds, whole_step
from autopanoptic.nas.executors.base import Executor
from autopanoptic.nas.executors.inline import InlineExecutor
from autopanoptic.nas.results.result import Result
from autopanoptic.nas.search.attempts import Attempts, RetryOn
from autopanoptic.nas.search.completion import Completion
from autopanoptic.nas.search.errors import SearchError
from autopanoptic.nas.search.ledger import Ledger
from autopanoptic.nas.search.limits import Limits, require_seconds, require_whole
from autopanoptic.nas.search.loop import Loop
from autopanoptic.nas.search.parts import check_parts
from autopanoptic.nas.search.progress import search_progress
from autopanoptic.nas.search.proposals import Proposals, first_ones, why_no_more
from autopanoptic.nas.space.architecture import Option
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.stopping.base import Stopper
from autopanoptic.nas.storage.events import end_of, replay
from autopanoptic.nas.storage.header import FORMAT, check_header, library_version, search_id
from autopanoptic.nas.storage.journal import Journal, JournalError, reading_of
from autopanoptic.nas.strategy import Strategy
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Objectives, objectives_of
from autopanoptic.nas.trials.trial import Trial, TrialState

logger = logging.getLogger(__name__)


class Search:
    """Looks for the best architectures of a space.

    Args:
        space: the search space.
        strategy: decides the next architecture.
        evaluator: turns an architecture into metrics: an :class:`Evaluator`, or any function of an architecture that
            returns a mapping of metrics or, with one objective, its value. None for use with :meth:`ask` and
            :meth:`tell` only.
        objectives: what is better: ``"accuracy"`` (maximised), or ``{"accuracy": "max", "latency_ms": "min"}``.
        constraints: (low, high) bounds on metrics, either may be None. Those on ``costs`` are checked before an
            evaluation; those on other metrics after it: a trial that breaks one is worse than any that breaks none.
        costs: functions of an architecture, called before it is evaluated and recorded among its metrics, where a
            metric of the evaluator with the same name takes their place.
        executor: runs the evaluator; in this process by default.
        journal: a file in which everything is written as it happens. Where it exists the search goes on from there:
            trials that were running are run again with the same id, and what follows is what an uninterrupted
            search would have done. Space, strategy, stopper, objectives, constraints and seed must be those of the
            journal; that the evaluator is the same is for the caller to see to. A parameter that the journal does not
            know, because it was written by an older release, may have its default.
        seed: trial n's randomness is ``numpy.random.default_rng([seed, n])``; a whole number from 0.
        ordered: whether results are told in the order of the trials, which makes a parallel search reproducible: it
            depends on the executor's capacity alone, and for strategies that wait for whole generations (random and
            grid search, :class:`Evolution`, :class:`PathPriority`) not even on that. Partial results are still seen
            as they come.
        stopper: may end a trial by its partial results.
        initial: architectures to try first. Where the journal exists, its own count.
        retries: how often a trial is run again after its worker died, or for what ``retry_on`` says.
        retry_on: exceptions of the evaluator, a class or a tuple of them, that say nothing of the architecture, such as
            ``(OSError, torch.OutOfMemoryError)``: the trial is run again.
        trial_seconds: how long one evaluation may take, the imports of a new worker process not included; None for no
            limit. A worker process is ended then. In this process the trial ends when it reports the next time; a hang
            needs worker processes. Such a trial has failed.
        max_failures: how many trials may fail one after another in one run; then it stops. None for any number.
        callbacks: are told what happens, such as ``[TensorBoardCallback("runs/log")]``; see :class:`Callback`.

    The methods may be called from any thread, but for :meth:`run`, of which there is one at a time.

    Raises:
        TypeError: when the space, the strategy, the evaluator, the stopper or a callback is none, or ``retry_on`` no
            exception.
        ValueError: when the strategy or the stopper cannot do with this space or these objectives, or an initial
            architecture is not in the space or breaks a constraint.
        JournalError: when the journal is damaged or belongs to another search.
    """

    def __init__(
        self,
        space: SearchSpace,
        strategy: Strategy,
        evaluator: Evaluator | Callable[..., Metrics | float] | None = None,
        *,
        objectives: Objectives = "value",
        constraints: Constraints | None = None,
        costs: Mapping[str, Cost] | None = None,
        executor: Executor | None = None,
        journal: str | Path | Journal | None = None,
        seed: int = 0,
        ordered: bool = False,
        stopper: Stopper | None = None,
        initial: Iterable[Mapping[str, Option]] = (),
        retries: int = 2,
        retry_on: RetryOn = (),
        trial_seconds: float | None = None,
        max_failures: int | None = 20,
        callbacks: Iterable[Callback] = (),
    ) -> None:
        check_parts(space, strategy, stopper)
        self.objectives = objectives_of(objectives)
        self.costs = CostTable(costs or {}, constraints or ())
        self._completion = Completion(self.costs, self.objectives)
        self.space = self.costs.constrained(space)
        self.strategy = strategy
        self.evaluator = evaluator_of(evaluator, self.objectives[0].name)
        self.executor: Executor = InlineExecutor() if executor is None else executor
        self.seed = require_whole("seed", seed)
        self.ordered = ordered
        self.stopper = stopper
        self.retries = require_whole("retries", retries)
        require_seconds("trial_seconds", trial_seconds)
        self.trial_seconds = trial_seconds
        self.max_failures = None if max_failures is None else require_whole("max_failures", max_failures, low=1)
        strategy.check(self.space, self.objectives)
        if stopper is not None:
            stopper.check(self.objectives)
        header = self._header()
        history = History(self.objectives, self.costs.constraints)
        self._attempts = Attempts(self.retries, retry_on)
        reading = reading_of(journal)
        known = None if reading is None else reading.header()
        if reading is not None and known is not None:
            parametrised = {"strategy": strategy, "stopper": stopper}
            check_header(reading.path, known, header, parametrised)
            replay(history, reading, self.space, self._attempts.see)
            initial = known.get("initial", [])
            header["id"] = search_id(reading.path, known)
        opened = None if reading is None else Journal(reading)
        self.journal = journal if isinstance(journal, Journal) else opened
        self.initial = first_ones(initial, self.space, self.costs)
        self._proposals = Proposals(strategy, self.space, self.seed, self.initial)
        header["initial"] = [architecture.to_json() for architecture in self.initial]
        self._ledger = Ledger(history, self.journal, header, Callbacks(callbacks))
        self._again = [trial.id for trial in history.running]
        self._ended = None if self.journal is None else end_of(self.journal.last)
        self._late: set[int] = set()

    def _header(self) -> dict[str, Any]:
        return {
            "event": "search",
            "format": FORMAT,
            "version": library_version(),
            "id": uuid.uuid4().hex,
            "space": self.space.to_json(),
            "strategy": repr(self.strategy),
            "objectives": {objective.name: objective.direction for objective in self.objectives},
            "constraints": self.costs.to_json(),
            "seed": self.seed,
            "stopper": repr(self.stopper),
        }

    def __enter__(self) -> Search:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def history(self) -> History:
        """All trials so far."""
        return self._ledger.history

    @property
    def waiting(self) -> bool:
        """Whether a trial waits to be run again, as one that was interrupted does."""
        return any(self.history[trial_id].state is TrialState.RUNNING for trial_id in self._again)

    def close(self) -> None:
        """End what :meth:`ask` and :meth:`tell` began: callbacks hear of it, and the journal's lock is given back."""
        self._ledger.close()

    def ask(self) -> Trial | None:
        """Return the next trial to evaluate, and write it down as running; from any thread.

        A trial that was running when the search was interrupted comes first, with its old id.

        Returns:
            None when the strategy waits for running trials, or, while none runs, when the search is at its end.

        Raises:
            SearchError: when the strategy proposes nothing new.
            InfeasibleError: when the constraints refuse nearly everything.
            ValueError: when the strategy proposes an architecture that is not in the space.
            JournalError: when the journal cannot be written; nothing has been asked for then.
        """
        with self._ledger.lock:
            while self._again:
                trial_id = self._again[0]
                if self.history[trial_id].state is TrialState.RUNNING:
                    trial = self._ledger.record_trial("restarted", trial_id)
                    self._again.pop(0)
                    return trial
                self._again.pop(0)  # it has been told of since
            architecture = self._proposals.next(self.history)
            if architecture is None:
                return None
            return self._ledger.record_trial("asked", len(self.history), architecture=architecture.to_json())

    def report(self, trial: Trial, step: int, metrics: Metrics) -> bool:
        """Write down a partial result of a running trial; from any thread.

        One of a trial that is not running any more is dropped, and a line in the log says so once.

        Args:
            trial: what :meth:`ask` returned.
            step: after how many steps; a whole number.
            metrics: finite numbers.

        Returns:
            Whether the stopper ends the trial; ``tell(trial, stopped=True)`` does it.

        Raises:
            ValueError: when the step is no whole number, a metric no finite one, the trial not of this search, or a
                cost that the stopper may regard cannot be worked out.
            JournalError: when the journal cannot be written.
        """
        number, found = whole_step(step), checked(metrics)
        with self._ledger.lock:
            if not self._is_running(trial):
                if not 0 <= trial.id < len(self.history):
                    raise ValueError(f"There is no trial {trial.id} to report on.")
                self._say_late(trial, number)
                return False
            costs = self._costs_for_stopper(self.history[trial.id])
            trial = self._ledger.record_trial("reported", trial.id, step=number, metrics=found, **costs)
            return self.stopper is not None and self.stopper.should_stop(self.history, trial, number, found)

    def _costs_for_stopper(self, trial: Trial) -> dict[str, dict[str, float]]:
        """Return a trial's costs with its first report; they are written down, as a measured cost is never the same."""
        if self.stopper is None or trial.reports:
            return {}
        costs = self.costs.of(trial.architecture)
        return {"costs": costs} if costs else {}

    def _is_running(self, trial: Trial) -> bool:
        known = 0 <= trial.id < len(self.history)
        return known and self.history[trial.id].state is TrialState.RUNNING

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
        """Write down the result of a running trial, and return the trial as it ended; from any thread.

        Metrics that are not finite numbers fail the trial; so does a cost that cannot be worked out.

        Args:
            trial: what :meth:`ask` returned.
            metrics: what the evaluation gave.
            error: why it failed; instead of metrics.
            stopped: that a stopping rule ended it; instead of metrics.
            seconds: how long it took.

        Raises:
            SearchError: when the metrics lack an objective; the trial is written down as failed.
            TypeError: when the error is no text.
            ValueError: when the trial is not running, when not one of metrics, error and stopped is given, or when the
                seconds are no number from 0.
            JournalError: when the journal cannot be written; the trial is running then.
        """
        if (metrics is not None) + (error is not None) + stopped != 1:
            raise ValueError("Tell either metrics or an error, or that the trial was stopped.")
        if not isinstance(error, (str, NoneType)):
            raise TypeError(f"An error is told as a text, not as {error!r}.")
        took = checked_seconds(seconds)
        with self._ledger.lock:
            if not self._is_running(trial):
                raise ValueError(f"Trial {trial.id} is not running.")
            trial = self.history[trial.id]
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
        return self._ledger.record_trial("completed", trial.id, metrics=found, seconds=seconds)

    def run(
        self,
        trials: int | None = None,
        seconds: float | None = None,
        *,
        grace: float | None = None,
        retry_failed: bool = False,
        progress: bool | None = None,
        title: str = "search",
    ) -> Result:
        """Search until there are so many trials, so much time has passed, or the strategy is at its end.

        Trials that were asked for and not told of, by :meth:`ask` or in a run that was interrupted, are run first.

        Ctrl-C ends it at once; with a journal, the same search made again goes on. When the strategy ends the search
        before ``trials``, as where every architecture has been tried, a warning is logged; so is what the strategy has
        to say of so many trials (:meth:`Strategy.advise`). :attr:`Result.ended` says why a search ended.

        Args:
            trials: how many in all, those of an earlier run from the journal included; None for no limit.
            seconds: after this long no trial is begun; None for no limit.
            grace: for how many seconds more the running trials may go on. Then they are recorded as interrupted, and
                are run again by the next run. None lets them end, however long they take. In this process
                (:class:`InlineExecutor`) a trial can be interrupted only when it reports.
            retry_failed: whether trials that failed before are tried again, first.
            progress: whether to show on standard error how far the search is: a bar on a terminal, a line now and
                then elsewhere. By default so, but a search of less than half a minute writes no lines, and a callback
                that shows it itself takes its place.
            title: what stands before that.

        Raises:
            SearchError: when all of the first 10 trials (or all there are) failed, with the first error; when
                ``max_failures`` failed in a row, with the last; or when the stopping rule raises an exception.
            JournalError: when another search uses the journal, or it cannot be written.
        """
        if self.evaluator is None:
            raise ValueError("run() needs an evaluator; this search was made without one, for ask() and tell().")
        limits = Limits(trials, seconds, grace, self.trial_seconds)
        advice = None if trials is None else self.strategy.advise(self.space, trials)
        if advice is not None:
            logger.warning("%s", advice)
        if progress is None and self._ledger.callbacks.show_progress:
            progress = False
        self._ended = None
        try:
            self._ledger.begin(trials, title)
            for trial_id in self._ledger.reopen_failed() if retry_failed else ():
                self._attempts.start_anew(trial_id)
            self._again = [trial.id for trial in self.history.running]
            loop = self._loop(limits)
            answers = self.stopper is not None
            self.executor.start(self.evaluator, loop.on_report, answers=answers)
            with search_progress(progress, trials, self.history, title) as update:
                self._finish(loop.run(update))
        except KeyboardInterrupt:
            with suppress(JournalError):
                self._ledger.record("interrupted", trials=[trial.id for trial in self.history.running])
            raise
        finally:
            self.executor.stop()
            self._again = [trial.id for trial in self.history.running]
            self._ledger.close(self._ended)
        loop.check_any_succeeded()
        if self._ended == "strategy" and trials is not None:
            why = why_no_more(self.space, self.history)
            logger.warning("The search ended after %d of %d trials: %s.", len(self.history), trials, why)
        return self.result()

    def _loop(self, limits: Limits) -> Loop:
        return Loop(
            self,
            self._ledger,
            self.executor,
            limits,
            self._attempts,
            self._completion,
            self._proposals,
            ordered=self.ordered,
            max_failures=self.max_failures,
            rule=repr(self.stopper),
        )

    def _finish(self, reason: str) -> None:
        self._ended = reason
        # A search that had ended already leaves its journal as it is.
        if self.journal is not None and end_of(self.journal.last) != reason:
            self._ledger.record("ended", reason=reason)

    def result(self) -> Result:
        """Return what has been found so far."""
        return Result(self.space, self.history, self._ended)
