"""Calls the callbacks of a search, and keeps their exceptions from it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any

from autopanoptic.nas.callbacks.base import Callback, SearchRun
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import Trial

logger = logging.getLogger(__name__)

STARTS = frozenset({"asked", "restarted", "evaluated"})
ENDS = frozenset({"completed", "failed", "stopped"})


class Callbacks:
    """The callbacks of a search; its caller sees to it that one thread at a time calls.

    Args:
        callbacks: are called in this order, at the end of a run in the opposite one.
        first: are called before these.

    Raises:
        TypeError: when one is no :class:`Callback`, or there is no list of them.
    """

    def __init__(self, callbacks: Iterable[Callback] = (), *, first: Iterable[Callback] = ()) -> None:
        if isinstance(callbacks, Callback):
            raise TypeError(f"callbacks is a list, such as [{callbacks!r}].")
        self._all = (*first, *callbacks)
        for callback in self._all:
            if not isinstance(callback, Callback):
                raise TypeError(
                    f"A callback is an object that derives from Callback, such as TableCallback(), not {callback!r}."
                )
        self._told: list[Callback] = []
        self._problems: Counter[int] = Counter()
        self._running = False

    @property
    def waiting(self) -> bool:
        """Whether there are any, who have not been told yet that a run begins."""
        return bool(self._all) and not self._running

    @property
    def show_progress(self) -> bool:
        """Whether one of them shows how far a search is."""
        return any(_shows(callback) for callback in self._all)

    def start(self, run: SearchRun) -> None:
        """Tell that a run begins."""
        self._running = True
        self._problems.clear()
        for callback in self._all:
            self._told.append(callback)  # before, so that one that Ctrl-C interrupts is told of the end
            if not self._call(callback, "on_search_start", run):
                self._told.pop()

    def see(self, history: History, event: Mapping[str, Any], trial: Trial) -> None:
        """Tell of an event of a trial."""
        kind = event["event"]
        for callback in self._told:
            if kind in STARTS:
                self._call(callback, "on_trial_start", history, trial)
            elif kind == "reported":
                self._call(callback, "on_trial_report", history, trial, event["step"], dict(event["metrics"]))
            elif kind in ENDS:
                self._call(callback, "on_trial_end", history, trial)
            elif kind == "paused":
                self._call(callback, "on_trial_pause", history, trial)
            elif kind == "promoted":
                self._call(callback, "on_trial_promote", history, trial)

    def end(self, history: History, reason: str | None) -> None:
        """Tell that the run is over; without effect while none is running."""
        told, self._told, self._running = self._told, [], False
        # All of them are told, also when Ctrl-C comes while one of them closes its files.
        with ExitStack() as stack:
            for callback in told:
                stack.callback(self._end, callback, history, reason)

    def _end(self, callback: Callback, history: History, reason: str | None) -> None:
        self._call(callback, "on_search_end", history, reason)
        count = self._problems[id(callback)]
        if count > 1:
            logger.error("The callback %s raised %d exceptions in this run.", type(callback).__name__, count)

    def _call(self, callback: Callback, method: str, *arguments: object) -> bool:
        """Call a method, and return whether it raised nothing."""
        try:
            getattr(callback, method)(*arguments)
        except (Exception, SystemExit):  # SystemExit as well, which on its way would fail the trial that reports
            self._problems[id(callback)] += 1
            if self._problems[id(callback)] == 1:
                name = f"{type(callback).__name__}.{method}"
                logger.exception("%s raised an exception; the search goes on. Further ones are only counted.", name)
            return False
        return True


def _shows(callback: Callback) -> bool:
    try:
        return callback.shows_progress
    except (Exception, SystemExit):
        name = type(callback).__name__
        logger.exception("%s.shows_progress raised an exception; the search goes on and shows its own bar.", name)
        return False
