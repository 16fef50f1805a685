"""A bar in a notebook that follows a search."""

from __future__ import annotations

from autopanoptic.nas.callbacks.base import Callback, SearchRun
from autopanoptic.nas.callbacks.common import Tally, require
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import Trial


class NotebookCallback(Callback):
    """Shows a search in a notebook as tqdm's bar: how many trials have ended, their rate, and the best.

    It takes the place of the bar of :meth:`Search.run`. Elsewhere than in a notebook the bar is one of text.

    Raises:
        ImportError: when tqdm or ipywidgets is not installed.
    """

    def __init__(self) -> None:
        require(["tqdm", "ipywidgets"], "NotebookCallback", "notebook")

    @property
    def shows_progress(self) -> bool:
        """True: wherever it is."""
        return True

    def on_search_start(self, run: SearchRun) -> None:
        """Draw the bar."""
        from tqdm.auto import tqdm

        self._tally = Tally()
        for trial in run.history.finished:
            self._tally.see(run.history, trial)
        self._bar = tqdm(total=run.trials, initial=_ended(run.history), desc=run.title, unit="trial")
        self._show_best(run.history)

    def on_trial_end(self, history: History, trial: Trial) -> None:
        """Bring the bar up to date."""
        self._tally.see(history, trial)
        self._show_best(history)
        self._bar.update(_ended(history) - self._bar.n)

    def on_trial_pause(self, history: History, trial: Trial) -> None:
        """Bring the bar up to date."""
        self._bar.update(_ended(history) - self._bar.n)

    def on_search_end(self, history: History, reason: str | None) -> None:
        """Leave the bar as it is."""
        self._bar.close()

    def _show_best(self, history: History) -> None:
        best, main = self._tally.best, history.objectives[0].name
        if best is not None:
            self._bar.set_postfix_str(f"best {main} {best.metrics[main]:.4g}", refresh=False)


def _ended(history: History) -> int:
    return len(history) - history.n_running
