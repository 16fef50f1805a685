"""What a search knows, in memory and on the disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from autopanoptic.nas.callbacks.base import SearchRun
from autopanoptic.nas.callbacks.calls import Callbacks
from autopanoptic.nas.interruption import deferred_interrupt
from autopanoptic.nas.search.held import Held
from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.storage.events import changed, end_of, enter
from autopanoptic.nas.storage.journal import Journal
from autopanoptic.nas.trials.budget import Budget
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import Trial, TrialState


class Ledger:
    """A history and its journal, which say the same after every call, whatever the call raises.

    An event is checked, then written, then applied. Any thread may record one.

    Args:
        history: the trials so far.
        journal: where events are written; None to keep them in memory only.
        header: what the journal begins with; where there are callbacks, with the ``id`` of the search.
        callbacks: are told of the events of trials once these are written and applied.
        held: sees every event of a trial that there is already.

    Attributes:
        history: all trials; another object where :meth:`begin` lets failed ones run again.
        lock: held while an event is recorded. Who reads the history to decide on an event holds it as well.
    """

    def __init__(
        self,
        history: History,
        journal: Journal | None,
        header: Mapping[str, Any],
        callbacks: Callbacks | None = None,
        held: Held | None = None,
    ) -> None:
        self.history = history
        self.journal = journal
        self.callbacks = Callbacks() if callbacks is None else callbacks
        self.held = Held() if held is None else held
        self.lock = threading.RLock()
        self._header = header

    def begin(self, trials: int | None = None, title: str = "search", *, retry_failed: bool = False) -> list[int]:
        """Tell the callbacks that a run begins; the first event tells them otherwise.

        Failed trials that are to run again do so in a new history, of which the callbacks are told as well: what
        strategies keep of the old one is not true any more.

        Args:
            trials: how many there shall be in all; None where no number was asked for.
            title: of the run.
            retry_failed: whether the failed trials run again.

        Returns:
            The ids of those that do.

        Raises:
            JournalError: when another search uses the journal, of which the callbacks are not told then.
        """
        with self.lock:
            self.callbacks.end(self.history, None)
            failed = [trial.id for trial in self.history if retry_failed and trial.state is TrialState.FAILED]
            if failed:
                self.history = self.history.copy()
            events = [{"event": "reopened", "trial": trial_id} for trial_id in failed]
            # Before the start, of which callbacks take what has ended: these trials have not any more.
            reopened = [(event, self._entered(event)) for event in events]
            self._tell_start(trials, title)
            for event, trial in reopened:
                assert trial is not None
                self.callbacks.see(self.history, event, trial)
            return failed

    def _tell_start(self, trials: int | None, title: str) -> None:
        if self.callbacks.waiting:
            if self.journal is not None:
                self.journal.acquire()
            self.callbacks.start(SearchRun(self._header["id"], self.history, self._header, trials, title))

    def record(self, kind: str, **values: Any) -> Trial | None:
        """Check an event, write it down and bring the history up to date; Ctrl-C cannot come in between.

        Returns:
            The trial as it is now; None for an event that concerns none.

        Raises:
            ValueError: when the event does not fit the history, or holds NaN or infinity.
            TypeError: when it holds what cannot be written as JSON.
            JournalError: when it cannot be written.
        """
        event = {"event": kind, **values}
        with self.lock:
            if self.callbacks.waiting:
                self.begin()
            trial = self._entered(event)
            if trial is not None:
                self.callbacks.see(self.history, event, trial)
            return trial

    def _entered(self, event: Mapping[str, Any]) -> Trial | None:
        with deferred_interrupt():
            trial = changed(self.history, event)
            self._write([event])
            enter(self.history, event, trial)
            self.held.see(event)
        return trial

    @contextmanager
    def together(self) -> Iterator[None]:
        """Wait for the disk once for all events of the block (:meth:`Journal.together`); only this thread records any.

        Raises:
            JournalError: when the disk fails at the end of the block.
        """
        with self.lock:
            if self.journal is None:
                yield
            else:
                with self.journal.together():
                    yield

    def record_trial(self, kind: str, trial_id: int, **values: Any) -> Trial:
        """Record an event of one trial, and return the trial as it is now."""
        trial = self.record(kind, trial=trial_id, **values)
        assert trial is not None
        return trial

    def record_asked(self, architectures: Sequence[Architecture], budgets: Sequence[Budget | None]) -> list[Trial]:
        """Record that trials of several architectures are asked for, of which a kill leaves all or none.

        Args:
            architectures: of the space, each once, none of which has a trial.
            budgets: with which they begin.

        Raises:
            JournalError: when the events cannot be written; nothing has been asked for then.
        """
        with self.lock:
            if self.callbacks.waiting:
                self.begin()
            numbered = enumerate(zip(architectures, budgets, strict=True), len(self.history))
            trials = [Trial(number, architecture, budget=budget) for number, (architecture, budget) in numbered]
            events = [_asked(trial) for trial in trials]
            self._check_new(trials)
            with deferred_interrupt():
                self._write(events)
                for event, trial in zip(events, trials, strict=True):
                    enter(self.history, event, trial)
            for event, trial in zip(events, trials, strict=True):
                self.callbacks.see(self.history, event, trial)
            return trials

    def _check_new(self, trials: Sequence[Trial]) -> None:
        for trial in trials:
            if trial.architecture in self.history:
                raise ValueError(f"There is a trial of this architecture already: {trial}.")

    def _write(self, events: Sequence[Mapping[str, Any]]) -> None:
        if self.journal is None:
            return
        if not self.journal.count:
            self.journal.append(self._header)
        now = round(time.time(), 3)
        self.journal.append_together([{**event, "time": now} for event in events])

    def finish(self, reason: str) -> None:
        """Record why the search ends, unless its journal says so last; one that had ended already stays as it is."""
        if self.journal is not None and end_of(self.journal.last) != reason:
            self.record("ended", reason=reason)

    def close(self, reason: str | None = None) -> None:
        """Tell the callbacks that the run is over, and why, and give the journal's lock back."""
        with self.lock:
            try:
                self.callbacks.end(self.history, reason)
            finally:
                if self.journal is not None:
                    self.journal.close()


def _asked(trial: Trial) -> dict[str, Any]:
    budget = {} if trial.budget is None else {"budget": trial.budget.end}
    return {"event": "asked", "trial": trial.id, "architecture": trial.architecture.to_json(), **budget}
