"""A table on the terminal that follows a search."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from autopanoptic.nas.callbacks.base import Callback, SearchRun
from autopanoptic.nas.evaluation.evaluator import Metrics
from autopanoptic.nas.progress.lines import shown
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import Trial, TrialState

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

PER_SECOND = 4
"""How often the table is drawn."""
SHARE = 0.05
"""Of the time, at most, goes into ranking the trials."""
STATES = (TrialState.COMPLETED, TrialState.PAUSED, TrialState.FAILED, TrialState.STOPPED, TrialState.RUNNING)
MOST_RUNNING = 8
"""Running trials that are listed."""


class TableCallback(Callback):
    """Shows a search on the terminal: counts, rate, time left, the best trials, and what the running ones reported.

    It takes the place of the bar of :meth:`Search.run`. Where there is no terminal the table is written once, at the
    end.

    Args:
        top: how many of the best trials, from 1.
        console: where it is shown; standard error by default.

    Raises:
        ValueError: for a ``top`` below 1.
    """

    def __init__(self, top: int = 8, console: Console | None = None) -> None:
        if top < 1:
            raise ValueError(f"top is a number of trials from 1, not {top!r}.")
        self.top = top
        self._given = console

    @cached_property
    def _console(self) -> Console:
        from rich.console import Console

        return Console(stderr=True) if self._given is None else self._given

    @property
    def shows_progress(self) -> bool:
        """Whether there is a terminal, or a notebook."""
        return self._console.is_terminal or self._console.is_jupyter

    def on_search_start(self, run: SearchRun) -> None:
        """Begin to show the table."""
        from rich.live import Live

        self._board = Board(run, self.top)
        self._live: Live | None = None
        if self.shows_progress:
            self._live = Live(
                console=self._console,
                get_renderable=self._board.drawn,
                refresh_per_second=PER_SECOND,
                redirect_stdout=sys.stdout.isatty(),
            )
            self._live.start()

    def on_trial_start(self, history: History, trial: Trial) -> None:
        """Show a trial as running."""
        self._board.put(trial)

    def on_trial_report(self, history: History, trial: Trial, step: int, metrics: Metrics) -> None:
        """Show what the trial reported."""
        self._board.put(trial)

    def on_trial_pause(self, history: History, trial: Trial) -> None:
        """Show the trial as paused."""
        self._board.put(trial)

    def on_trial_promote(self, history: History, trial: Trial) -> None:
        """Show the trial as running."""
        self._board.put(trial)

    def on_trial_end(self, history: History, trial: Trial) -> None:
        """Show how the trial ended."""
        self._board.put(trial)

    def on_search_end(self, history: History, reason: str | None) -> None:
        """Show the table as it is at the end."""
        self._board.close()
        if self._live is None:
            self._console.print(self._board.drawn())
        else:
            self._live.stop()


class Board:
    """What the table shows; drawn in another thread than that of the search.

    Args:
        run: the run that it shows.
        top: how many of the best trials.
    """

    def __init__(self, run: SearchRun, top: int) -> None:
        self._run, self._top = run, top
        self._lock = threading.Lock()
        self._trials = {trial.id: trial for trial in run.history}
        self._before = run.history.n_finished
        self._begun = time.monotonic()
        self._best: list[Trial] = []
        self._rank_again = self._begun
        self._final = False

    def put(self, trial: Trial) -> None:
        """Take in a trial as it is now."""
        with self._lock:
            self._trials[trial.id] = trial

    def close(self) -> None:
        """Have the last table exact."""
        self._final = True

    def drawn(self) -> RenderableType:
        """Return the table as it is now."""
        from rich.console import Group
        from rich.text import Text

        with self._lock:
            trials = list(self._trials.values())
        parts: list[RenderableType] = [Text(self._headline(trials), "bold")]
        best = self._ranked(trials)
        if best:
            from autopanoptic.nas.results.terminal import main_metrics, trial_table

            history = self._run.history
            parts.append(trial_table(history, best, main_metrics(history), last=True))
        return Group(*parts, *(Text(line, "dim", no_wrap=True, overflow="ellipsis") for line in _running(trials)))

    def _headline(self, trials: Sequence[Trial]) -> str:
        states = Counter(trial.state for trial in trials)
        ended, total = len(trials) - states[TrialState.RUNNING], self._run.trials
        seconds = time.monotonic() - self._begun
        rate = (ended - self._before) / seconds if seconds > 0 else 0.0
        counts = [f"{states[state]} {state.value}" for state in STATES if states[state]]
        times = [shown(seconds)]
        if rate > 0:
            times.append(_rate(rate))
            if total and total > ended and not self._final:
                times.append(f"about {shown((total - ended) / rate)} left")
        of = f"{ended} of {total} trials" if total else f"{ended} trials"
        return f"{self._run.title}: {of} ({', '.join(counts) or 'none yet'}), {', '.join(times)}"

    def _ranked(self, trials: Sequence[Trial]) -> list[Trial]:
        began = time.monotonic()
        if self._final or began >= self._rank_again:
            self._best = self._run.history.ranked(trials)[: self._top]
            now = time.monotonic()
            self._rank_again = now + (now - began) / SHARE
        return self._best


def _running(trials: Sequence[Trial]) -> list[str]:
    """Return a line for each of the running trials, with its last report."""
    running = [trial for trial in trials if trial.state is TrialState.RUNNING]
    lines = []
    for trial in running[:MOST_RUNNING]:
        step, metrics = trial.reports[-1] if trial.reports else (None, {})
        values = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        lines.append(f"running {trial.id}" + ("" if step is None else f", step {step}: {values}"))
    left = len(running) - len(lines)
    return [*lines, f"and {left} more running"] if left else lines


def _rate(per_second: float) -> str:
    """Return a rate for people, in the unit in which it is at least 1, but for slower ones than that."""
    for unit, seconds in (("s", 1), ("min", 60)):
        if per_second * seconds >= 1:
            return f"{per_second * seconds:.3g} trials/{unit}"
    return f"{per_second * 3600:.2g} trials/h"
