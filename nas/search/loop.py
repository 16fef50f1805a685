"""The engine of a search: it keeps an executor busy, and sees to limits, failures and stopping rules."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from autopanoptic.nas.evaluation.evaluator import Metrics
from autopanoptic.nas.executors.base import Executor, Outcome
from autopanoptic.nas.search.attempts import Attempts, FailureWatch
from autopanoptic.nas.search.completion import Completion
from autopanoptic.nas.search.desk import Desk
from autopanoptic.nas.search.errors import SearchError
from autopanoptic.nas.search.held import values_of
from autopanoptic.nas.search.ledger import Ledger
from autopanoptic.nas.search.limits import SECONDS_BETWEEN_LOOKS, SECONDS_TO_COLLECT, SILENT_LOOKS, Limits
from autopanoptic.nas.storage.journal import JournalError
from autopanoptic.nas.trials.trial import Trial, TrialState

SECONDS_BETWEEN_SYNCS = 0.01
"""What happens meanwhile is written to the disk together, so that a free worker need not wait for each write."""

logger = logging.getLogger(__name__)


class Loop:
    """One run of a search.

    Args:
        desk: where trials are asked for, reported on and told of.
        ledger: where events are recorded.
        executor: runs the evaluator, already started with :meth:`on_report`.
        limits: when it ends.
        attempts: how often trials are run again.
        completion: works out the costs of an architecture before it is evaluated.
        ordered: whether results are told in the order of the trials.
        batches: whether the strategy is asked for as many trials at once as there are free workers.
        max_failures: how many trials in a row may fail; None for any number.
        rule: names the stopping rule in error messages.
    """

    def __init__(
        self,
        desk: Desk,
        ledger: Ledger,
        executor: Executor,
        limits: Limits,
        attempts: Attempts,
        completion: Completion,
        *,
        ordered: bool,
        batches: bool,
        max_failures: int | None,
        rule: str,
    ) -> None:
        self._desk, self._ledger, self._executor = desk, ledger, executor
        self._limits, self._attempts, self._completion = limits, attempts, completion
        self._ordered, self._batches, self._rule = ordered, batches, rule
        self._watch = FailureWatch(ledger.history, max_failures)
        self._under_way: dict[int, None] = {}  # in the order in which they were begun
        self._getting_ready: set[int] = set()  # their workers are; their clocks do not run yet
        self._arrived: dict[int, Outcome] = {}
        self._rule_problems: dict[int, Exception] = {}
        self._expired: set[int] = set()  # longer under way than a trial may be
        self._cut_short: set[int] = set()  # by the end of the run's grace
        self._fatal: JournalError | None = None
        self._ending = self._over = self._said_late = self._collecting = False
        self._heard = 0  # how often trials have said something

    def run(self, update: Callable[[], None]) -> str:
        """Run trials, and return why no more are begun; ``update`` is called after each."""
        try:
            return self._run(update)
        except BaseException as problem:
            try:
                if not isinstance(problem, JournalError):  # else a trial would end whose report is not written down
                    with suppress(Exception):  # the first problem is the one to tell of
                        self._collect()
            finally:
                self._put_down_what_can_be()
            raise
        finally:
            with self._ledger.lock:
                self._over = True

    def check_any_succeeded(self) -> None:
        """Refuse to call it a search when all trials failed.

        Raises:
            SearchError: with the first error.
        """
        self._watch.check_any_succeeded(max(1, len(self._ledger.history)))

    def _run(self, update: Callable[[], None]) -> str:
        while True:
            with self._ledger.together():
                reason = self._turn(update)
            if reason is not None:
                return reason
            if self._under_way and self._ready() is None:
                self._think()
                if not self._limits.at_an_end:
                    self._wait()

    def _turn(self, update: Callable[[], None]) -> str | None:
        """Begin and end trials for as long as there is no need to wait; return why the run is over, if it is."""
        deadline, any_come = time.monotonic() + SECONDS_BETWEEN_SYNCS, False
        while True:
            reason = self._submit()
            if not self._under_way:
                return reason
            if self._limits.at_an_end:
                self._collect()
                self._tell_in_turn()
                self._put_down_arrived()
                lost = [trial_id for trial_id in sorted(self._under_way) if trial_id not in self._ledger.held]
                self._ledger.record("interrupted", trials=lost)
                return "seconds"
            # No worker is free here, or the strategy has nothing for it. Where it takes long to say so, what has come
            # is told all the same, for it may be what it waits for.
            if any_come and time.monotonic() > deadline:
                return None
            # One at a time, so that in ordered mode a trial's proposal never depends on which worker was faster.
            if not self._receive_or_look(update):
                return None
            any_come = True
            while self._batches and time.monotonic() <= deadline and self._receive_or_look(update):
                pass

    def _receive_or_look(self, update: Callable[[], None]) -> bool:
        """Tell of the result that is ready, or look for one that has come; return whether there was either."""
        ready = self._ready()
        if ready is None:
            return self._look()
        before = self._ledger.history[ready]
        outcome = self._arrived.pop(ready)
        try:
            self._receive(outcome)
        except BaseException:
            if self._ledger.history[ready] is before:  # nothing of it is written down yet
                self._arrived[ready] = outcome
            raise
        update()
        return True

    def _ready(self) -> int | None:
        """Return the trial whose result is told next, where it has arrived."""
        ready = next(iter(self._under_way if self._ordered else self._arrived), None)
        return ready if ready in self._arrived else None

    def _look(self) -> bool:
        """Take a result that has come meanwhile, and return whether there was one."""
        outcome = self._executor.wait(0)
        if self._fatal is not None:
            raise self._fatal
        if outcome is not None:
            self._take(outcome)
        return outcome is not None

    def _think(self) -> None:
        """Have the next trial's proposal and its costs ready before a worker asks for it."""
        if self._enough() or self._limits.no_more:
            return
        architecture = self._desk.think()
        if architecture is not None:
            self._completion.cost_problem(architecture)  # keeps the costs

    def _enough(self) -> bool:
        trials = self._limits.trials
        return trials is not None and len(self._ledger.history) >= trials

    def _submit(self) -> str:
        """Begin trials while there is room, and return why no more could be begun."""
        # A result that ordered mode holds back still occupies its place, for the same reason.
        while (room := self._executor.capacity - len(self._under_way)) > 0:
            new = not self._enough()
            if not new and not self._desk.waiting:
                return "trials"
            if self._limits.no_more:
                return "seconds"
            trials = self._asked(room, new)
            if not trials:
                return "strategy" if new else "trials"
            for trial in trials:
                self._begin(trial)
        return "room"

    def _asked(self, room: int, new: bool) -> list[Trial]:
        """Return the next trials: as many as there is room for where the strategy proposes them at once, else one."""
        held = self._ledger.held
        if self._batches and new and room > 1:
            limit = self._limits.trials
            count = room if limit is None else min(room, limit - len(self._ledger.history))
            return self._desk.ask_batch(count, held)
        trial = self._desk.ask(new=new, held=held)
        return [] if trial is None else [trial]

    def _begin(self, trial: Trial) -> None:
        problem = self._completion.cost_problem(trial.architecture)
        if problem is not None:
            self._watch.see(self._ledger.record_trial("failed", trial.id, error=problem, seconds=0.0))
            return
        self._under_way[trial.id] = None
        outcome = self._ledger.held.of(trial.id)
        if outcome is None:
            self._start(trial)
        else:
            self._arrived[trial.id] = outcome

    def _start(self, trial: Trial) -> None:
        self._expired.discard(trial.id)
        self._getting_ready.add(trial.id)
        self._executor.submit(trial.id, trial.architecture, self._desk.context_of(trial))
        self._start_clocks()

    def _start_clocks(self) -> None:
        for trial_id in list(filter(self._executor.has_begun, self._getting_ready)):
            self._getting_ready.remove(trial_id)
            self._limits.begin(trial_id)

    def _wait(self) -> None:
        outcome = self._executor.wait(self._patience())
        if self._fatal is not None:
            raise self._fatal
        if outcome is not None:
            self._take(outcome)
        self._start_clocks()
        if self._limits.all_overdue:
            self._collect()  # they may have ended long ago, while a proposal or a callback was slow
        for trial_id in self._limits.all_overdue:
            self._limits.end(trial_id)
            self._expired.add(trial_id)
            if self._executor.abandon(trial_id):
                self._arrived[trial_id] = self._too_long(trial_id)

    def _patience(self) -> float | None:
        """Return for how long nothing but results is of interest."""
        left = self._limits.left
        if self._limits.trial_seconds is None or not self._getting_ready:
            return left
        return SECONDS_BETWEEN_LOOKS if left is None else min(left, SECONDS_BETWEEN_LOOKS)

    def _collect(self) -> None:
        """Take what the executor has of finished trials, so that none of them is lost.

        A look may find a worker's other messages alone, behind which there is a result.
        """
        self._collecting, silent, deadline = True, 0, time.monotonic() + SECONDS_TO_COLLECT
        try:
            while silent < SILENT_LOOKS and time.monotonic() < deadline:
                if self._under_way.keys() <= self._arrived.keys():
                    return
                before = (self._heard, len(self._getting_ready))
                outcome = self._executor.wait(0)
                self._start_clocks()
                if outcome is not None:
                    self._take(outcome)
                silent = 0 if outcome or before != (self._heard, len(self._getting_ready)) else silent + 1
        finally:
            self._collecting = False

    def _take(self, outcome: Outcome) -> None:
        self._limits.end(outcome.trial_id)
        self._getting_ready.discard(outcome.trial_id)
        if outcome.stopped and outcome.trial_id in self._expired:
            outcome = self._too_long(outcome.trial_id)
        elif outcome.stopped and outcome.trial_id in self._cut_short:
            return
        self._arrived[outcome.trial_id] = outcome

    def _too_long(self, trial_id: int) -> Outcome:
        limit = self._limits.trial_seconds
        assert limit is not None
        error = f"The evaluation took longer than trial_seconds={limit:g}, so it was ended."
        return Outcome(trial_id, error=error, seconds=limit)

    def _receive(self, outcome: Outcome) -> None:
        trial = self._ledger.history[outcome.trial_id]
        if trial.id in self._rule_problems:
            self._fail_by_rule(trial, outcome)
        kind = self._attempts.event_of(outcome)
        if kind is not None:
            self._ledger.record(kind, trial=trial.id, error=outcome.error)
            if self._attempts.another(trial.id):
                self._start(self._ledger.record_trial("restarted", trial.id))
                return
        ended = self._told(trial, outcome)
        if ended.state is not TrialState.RUNNING:
            self._watch.see(ended)
        elif not self._ending:
            self._start(ended)

    def _told(self, trial: Trial, outcome: Outcome) -> Trial:
        """Tell of an outcome; of a trial with several evaluations the next one follows."""
        told: Trial | None = None
        try:
            if outcome.stopped:
                told = self._ledger.record_trial("stopped", trial.id, seconds=outcome.seconds)
            else:
                told = self._desk.tell(trial, outcome.metrics, outcome.error, seconds=outcome.seconds)
        finally:
            if told is None or told.state is not TrialState.RUNNING:
                self._under_way.pop(trial.id, None)
        return told

    def _fail_by_rule(self, trial: Trial, outcome: Outcome) -> None:
        problem = self._rule_problems.pop(trial.id)
        self._under_way.pop(trial.id, None)
        self._ledger.record_trial("failed", trial.id, error=f"{self._rule}: {problem!r}", seconds=outcome.seconds)
        raise SearchError(f"The stopping rule {self._rule} failed: {problem!r}") from problem

    def _tell_in_turn(self) -> None:
        """Tell of what has come and need not be held back; what died stays running."""
        self._ending = True
        with suppress(SearchError):  # the search ends in any case
            while (ready := self._ready()) is not None and self._attempts.event_of(self._arrived[ready]) is None:
                self._receive(self._arrived.pop(ready))

    def _put_down_arrived(self) -> None:
        """Write down what has come, for no finished trial is lost."""
        self._ending = True
        (self._hold_arrived if self._ordered else self._keep_arrived)()

    def _put_down_what_can_be(self) -> None:
        try:
            self._put_down_arrived()
        except Exception as problem:  # it must not take the place of what ends the run
            logger.warning("What had come when the run ended could not be written down: %r", problem)

    def _keep_arrived(self) -> None:
        """Write down what has come and was held back, for a finished trial is not lost; what died stays running."""
        self._ending = True
        for trial_id in sorted(self._arrived):
            outcome = self._arrived.pop(trial_id)
            if self._attempts.event_of(outcome) is None:
                with suppress(SearchError):  # the search ends in any case
                    self._receive(outcome)

    def _hold_arrived(self) -> None:
        """Write down what has come, to be told of when its turn comes in the next run; what died stays running."""
        for trial_id in sorted(self._arrived):
            outcome = self._arrived.pop(trial_id)
            known = trial_id in self._ledger.held or trial_id in self._rule_problems
            if not known and self._attempts.event_of(outcome) is None:
                self._ledger.record("held", **values_of(outcome))

    def on_report(self, trial_id: int, step: int, metrics: Metrics, seconds: float | None = None) -> bool:
        """Take a partial result from the executor, and return whether to end the trial; see `OnReport`."""
        with self._ledger.lock:
            self._heard += 1
            if self._over:  # an interrupted trial still counts as running, and nobody would close the journal again
                self._say_late(f"the report of step {step}", trial_id)
                return False
            if trial_id in self._under_way and self._must_end(trial_id, seconds):
                return True
            stop = self._report(trial_id, step, metrics)
            if seconds is not None:
                self._limits.spent(trial_id, seconds)  # what the answer has taken is not the trial's time
            return stop

    def on_attribute(self, trial_id: int, name: str, value: Any) -> None:
        """Take from the executor a value to be kept with a trial."""
        with self._ledger.lock:
            self._heard += 1
            if self._over:
                self._say_late(f"the attribute {name!r}", trial_id)
                return
            try:
                self._desk.set_attribute(self._ledger.history[trial_id], name, value)
            except JournalError as problem:
                self._fatal = problem
                raise

    def _say_late(self, what: str, trial_id: int) -> None:
        if not self._said_late:
            logger.warning("The run is over; %s of trial %d is dropped.", what, trial_id)
        self._said_late = True

    def _report(self, trial_id: int, step: int, metrics: Metrics) -> bool:
        try:
            return self._desk.report(self._ledger.history[trial_id], step, metrics)
        except JournalError as problem:  # also where the executor or the evaluator lets nothing of it through
            self._fatal = problem
            raise
        except Exception as problem:  # raised later, where it ends the search and not the evaluator's process
            self._rule_problems[trial_id] = problem
            return True

    def _must_end(self, trial_id: int, seconds: float | None) -> bool:
        if trial_id not in self._expired and self._limits.overdue(trial_id, seconds):
            self._expired.add(trial_id)
            self._limits.clean_up(trial_id)
        elif self._limits.at_an_end and not self._collecting:  # what it says may be old, and its result behind it
            self._cut_short.add(trial_id)
        return trial_id in self._expired or trial_id in self._cut_short
