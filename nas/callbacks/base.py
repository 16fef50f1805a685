"""What a callback is, and what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autopanoptic.nas.evaluation.evaluator import Metrics
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import Trial


@dataclass(frozen=True)
class SearchRun:
    """One run of a search, as it begins.

    Attributes:
        id: of the search, a text that is the same in every run that goes on from one journal.
        history: all trials; those that it has now were there before this run. It grows.
        settings: what the search was made of, as its journal has it: ``strategy``, ``objectives``, ``constraints``,
            ``seed``, ``stopper``, ``schedule``, ``space`` and others.
        trials: how many there shall be in all; None where no number was asked for.
        title: of :meth:`Search.run`.
    """

    id: str
    history: History
    settings: Mapping[str, Any]
    trials: int | None = None
    title: str = "search"


class Callback:
    """Is told what happens in a search; derive from it and write the methods that you need.

    All are called in the process of the search (not in those of workers), one at a time and in the order in which
    things happen, after the journal has it. The search waits until they return, so they should take little time beside
    a trial. What they are given is to be read only.

    An exception in one, ``SystemExit`` too, is logged with its traceback, the first of each callback and run, and
    changes nothing: the search and the other callbacks go on. One whose :meth:`on_search_start` has failed hears no
    more of that run. Ctrl-C ends the search as it does elsewhere.

    One object serves one search at a time.
    """

    @property
    def shows_progress(self) -> bool:
        """Whether it shows on the terminal how far a search is, in place of the bar of :meth:`Search.run`."""
        return False

    def on_search_start(self, run: SearchRun) -> None:
        """Take in that a run begins: :meth:`Search.run`, or with ask and tell the first call after the last ``close``.

        The trials of ``run.history`` have come before, by an earlier run from the journal, say.
        """

    def on_trial_start(self, history: History, trial: Trial) -> None:
        """Take in that a trial is running.

        It may have been so before, when it was interrupted, is tried again, or has ended one of several evaluations:
        what was reported then is void, but for what ``trial.reports`` still holds, from before a pause.
        """

    def on_trial_report(self, history: History, trial: Trial, step: int, metrics: Metrics) -> None:
        """Take in a partial result, which is the last of ``trial.reports`` as well."""

    def on_trial_pause(self, history: History, trial: Trial) -> None:
        """Take in that a trial has been measured with a budget, ``trial.reached``, and may go on with a larger one."""

    def on_trial_promote(self, history: History, trial: Trial) -> None:
        """Take in that a paused trial runs again, with a larger budget; what was reported of it stays true."""

    def on_trial_end(self, history: History, trial: Trial) -> None:
        """Take in that a trial is completed, failed or stopped, as ``trial.state`` says."""

    def on_search_end(self, history: History, reason: str | None) -> None:
        """Take in that the run is over, for a reason as in :attr:`Result.ended`.

        Args:
            history: all trials.
            reason: None when the run was interrupted or an exception ended it, and with ask and tell.
        """
