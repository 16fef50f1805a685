"""The search: it asks the strategy, runs the evaluator, and writes everything down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

from autopanoptic.nas.budgets.schedule import Schedule, schedule_of
from autopanoptic.nas.callbacks.base import Callback
from autopanoptic.nas.callbacks.calls import Callbacks
from autopanoptic.nas.costs.table import Constraints, CostTable
from autopanoptic.nas.evaluation.context import Context
from autopanoptic.nas.evaluation.evaluator import Evaluator, Metrics, evaluator_of
from autopanoptic.nas.executors.base import Executor
from autopanoptic.nas.executors.inline import InlineExecutor
from autopanoptic.nas.progress.trials import search_progress
from autopanoptic.nas.results.result import Result
from autopanoptic.nas.search.advice import warn_of_the_end, warn_of_too_few
from autopanoptic.nas.search.attempts import Attempts, RetryOn
from autopanoptic.nas.search.completion import Completion
from autopanoptic.nas.search.desk import Desk
from autopanoptic.nas.search.held import Held
from autopanoptic.nas.search.keeping import keepers_of
from autopanoptic.nas.search.ledger import Ledger
from autopanoptic.nas.search.limits import Limits, require_seconds, require_whole
from autopanoptic.nas.search.loop import Loop
from autopanoptic.nas.search.opening import Definition, opened
from autopanoptic.nas.search.parts import check_parts
from autopanoptic.nas.search.repeats import repeats_of
from autopanoptic.nas.space.architecture import Option
from autopanoptic.nas.space.space import Cost, SearchSpace
from autopanoptic.nas.stopping.base import Stopper
from autopanoptic.nas.stopping.racing import Racing
from autopanoptic.nas.storage.folders import TrialFolders
from autopanoptic.nas.storage.journal import Journal, JournalError
from autopanoptic.nas.strategy import BatchStrategy, Strategy
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Objectives, objectives_of
from autopanoptic.nas.trials.trial import Trial


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
            metric of the evaluator with the same name takes their place. A strategy may ask for them for thousands of
            candidates a trial, but for functions whose attribute ``slow`` is true.
        executor: runs the evaluator; in this process by default.
        journal: a file in which everything is written as it happens. Where it exists the search goes on from there:
            trials that were running are run again with the same id, and what follows is what an uninterrupted
            search would have done. Space, strategy, stopper, budget, objectives, constraints and seed must be those of
            the journal; that evaluator and costs are the same is for the caller to see to. A parameter that the journal
            does not know, because it was written by an older release, may have its default.
        seed: trial n's randomness is ``numpy.random.default_rng([seed, n])``; a whole number from 0.
        ordered: whether results are told in the order of the trials, which makes a parallel search reproducible: it
            depends on the executor's capacity alone, and for strategies that wait for whole generations (random and
            grid search, :class:`Evolution`, :class:`NSGA2`, :class:`PathPriority`) not even on that. Partial results
            are still seen as they come. Results whose turn has not come at Ctrl-C, or when the grace or an exception
            ends the run, are in the journal, and are told in the next run.
        stopper: may end a trial by its partial results.
        budget: how far trials are evaluated, in a unit of the evaluator's, such as epochs: a whole number for all of
            them, or a schedule that evaluates many with a small budget and lets the best go on, :class:`ASHA` or
            :class:`Hyperband`. An evaluator reads it as ``context.budget``. The strategy sees the metrics of one budget
            alone, the largest at which enough trials have been measured; the result ranks those of the largest budget.
        repeats: how many evaluations of its architecture a trial has (with each of its budgets), one after another and
            with different seeds, ``context.seed``. Its metrics are their means, :attr:`Trial.standard_errors` says how
            uncertain these are, and each is written down when it has ended. Or a schedule whose budgets are numbers of
            evaluations, such as ``ASHA(8, reduction=2)``: it spreads them over the trials, of which those that are
            among the best after 1, 2 and 4 go on.
        repeat_race: ends the evaluations of a trial early, with the means of those that it has, once it cannot be among
            the best any more: ``Racing(steps=repeats, min_chunks=2)``, whose chunks they are. A trial's evaluations
            follow each other then, and one that has ended gets no more.
        folder: where each trial has a folder of its own, ``context.folder``, for checkpoints and other files. Workers
            must see it under the same path, so on several machines it lies on a disk that they share.
        keep_best: of how many of the best trials the folders stay beside those of the front; the folders of other
            completed and of stopped trials are removed as soon as they have ended, those of paused ones when they
            cannot go on or :meth:`run` has come to its end. None for all.
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
        TypeError: when the space, the strategy, the evaluator, the stopper, the budget or a callback is none,
            ``initial`` no list of architectures, or ``retry_on`` no exception.
        ValueError: when the strategy or the stopper cannot do with this space or these objectives, an initial
            architecture is not in the space or breaks a constraint, or the folder is another search's.
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
        budget: Schedule | int | None = None,
        repeats: int | Schedule = 1,
        repeat_race: Racing | None = None,
        folder: str | Path | None = None,
        keep_best: int | None = None,
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
        self.budget = schedule_of(budget)
        self.repeats = repeats_of(repeats, repeat_race, budget)
        self.retries = require_whole("retries", retries)
        require_seconds("trial_seconds", trial_seconds)
        self.trial_seconds = trial_seconds
        self.max_failures = None if max_failures is None else require_whole("max_failures", max_failures, low=1)
        strategy.check(self.space, self.objectives)
        if stopper is not None:
            stopper.check(self.objectives)
        definition = Definition(
            self.space, strategy, self.objectives, self.costs, stopper, self.seed, self.budget, self.repeats
        )
        self._attempts = Attempts(self.retries, retry_on)
        held = Held()
        found = opened(definition, journal, initial, (self._attempts.see, held.see))
        self.journal, self.initial, self._ended = found.journal, found.initial, found.ended
        self.folders = None if folder is None else TrialFolders(folder, found.header["id"])
        keepers = keepers_of(self.folders, keep_best, definition.schedule)
        self._ledger = Ledger(found.history, self.journal, found.header, Callbacks(callbacks, first=keepers), held)
        self._desk = Desk(definition, self._ledger, self._completion, self.initial, self._attempts, self.folders)

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
        """Whether a trial that is not new waits: one that was interrupted, or that is to be promoted."""
        return self._desk.waiting

    def close(self) -> None:
        """End what :meth:`ask` and :meth:`tell` began: callbacks hear of it, and the journal's lock is given back."""
        self._ledger.close()

    @overload
    def ask(self) -> Trial | None: ...
    @overload
    def ask(self, count: int) -> list[Trial]: ...
    def ask(self, count: int | None = None) -> Trial | list[Trial] | None:
        """Return the next trial to evaluate, or several, and write them down as running; from any thread.

        A trial that was running when the search was interrupted comes first, with its old id; then one that the
        budget's schedule promotes. ``trial.budget`` says from where to where it is to be evaluated.

        ``ask(k)`` returns a list of at most ``k`` trials. A :class:`BatchStrategy` such as
        :class:`BayesianOptimization` proposes them at once, for little more than the price of one; a kill leaves such
        a batch in the journal as a whole or not at all. Any other strategy proposes one after another, as ``k`` calls
        of ``ask()`` would.

        Args:
            count: how many at most, from 1; None for one that is not in a list.

        Returns:
            None when the strategy waits for running trials, or, while none runs, when the search is at its end; of
            several as many as there are, none in these cases.

        Raises:
            SearchError: when the strategy proposes nothing new.
            InfeasibleError: when the constraints refuse nearly everything.
            ValueError: when the strategy proposes an architecture that is not in the space, or ``count`` is no whole
                number from 1.
            JournalError: when the journal cannot be written; nothing has been asked for then. Of several trials those
                that were written come first when they are asked for again.
        """
        return self._desk.ask() if count is None else self._desk.ask_batch(count)

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
        return self._desk.report(trial, step, metrics)

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

        Metrics that are not finite numbers fail the trial; so does a cost that cannot be worked out. With ``repeats``
        the trial is running still after each evaluation but the last; :meth:`context_of` tells the next one's seed.

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
        return self._desk.tell(trial, metrics, error, stopped=stopped, seconds=seconds)

    def set_attribute(self, trial: Trial, name: str, value: Any) -> Trial:
        """Keep a value with a trial, in place of what it has under this name, and return it as it is now.

        Trials of any state take attributes; from any thread. They are written to the journal.

        Args:
            trial: of this search.
            name: such as ``"note"``.
            value: None, a boolean, a finite number, a text, or lists and dictionaries of such.

        Raises:
            ValueError: when the name or the value is something else, or there is no such trial.
            JournalError: when the journal cannot be written.
        """
        return self._desk.set_attribute(trial, name, value)

    def context_of(self, trial: Trial) -> Context:
        """Return what an evaluator of a trial is told beside its architecture: its budget, folder, seed and repeat.

        For who evaluates trials of :meth:`ask`; :meth:`run` sees to it itself.

        Raises:
            ValueError: when the folder of this search has come to be another's.
            OSError: when it cannot be made.
        """
        context = self._desk.context_of(trial)
        return replace(context, publish=lambda name, value: self.set_attribute(trial, name, value))

    def folder_of(self, trial: Trial) -> Path:
        """Return where a trial's folder is, which may not be there: not yet, or not any more (see ``keep_best``).

        Raises:
            ValueError: when the search was made without ``folder``.
        """
        if self.folders is None:
            raise ValueError('This search has no folder. Say where it shall be: Search(..., folder="runs/trials").')
        return self.folders.of(trial.id)

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

        When there are so many trials, those that a schedule of budgets promotes still go on.

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
        warn_of_too_few(self.strategy, self.repeats.schedule or self.budget, self.space, trials)
        if progress is None and self._ledger.callbacks.show_progress:
            progress = False
        self._ended = None
        try:
            for trial_id in self._ledger.begin(trials, title, retry_failed=retry_failed):
                self._attempts.start_anew(trial_id)
            self._desk.run_again()
            loop = self._loop(limits)
            answers = self.stopper is not None
            self.executor.start(self.evaluator, loop.on_report, answers=answers, on_attribute=loop.on_attribute)
            with search_progress(progress, trials, self.history, title) as update:
                self._ended = loop.run(update)
                self._ledger.finish(self._ended)
        except KeyboardInterrupt:
            with suppress(JournalError):
                self._ledger.record("interrupted", trials=[trial.id for trial in self.history.running])
            raise
        finally:
            try:
                self.executor.stop()
            finally:  # also when Ctrl-C comes once more while workers end: the journal is to be free
                self._desk.run_again()
                self._ledger.close(self._ended)
        loop.check_any_succeeded()
        if self._ended == "strategy" and trials is not None:
            warn_of_the_end(self.space, self.history, trials)
        return self.result()

    def _loop(self, limits: Limits) -> Loop:
        return Loop(
            self._desk,
            self._ledger,
            self.executor,
            limits,
            self._attempts,
            self._completion,
            ordered=self.ordered,
            # A batch depends on how many workers are free at a time, which nothing may in ordered mode.
            batches=isinstance(self.strategy, BatchStrategy) and not self.ordered,
            max_failures=self.max_failures,
            rule=repr(self.stopper),
        )

    def result(self) -> Result:
        """Return what has been found so far."""
        return Result(self.space, self.history, self._ended)
