"""Which trials keep their folders."""

from __future__ import annotations

from collections.abc import Iterable

from autopanoptic.nas.budgets.schedule import Schedule
from autopanoptic.nas.callbacks.base import Callback, SearchRun
from autopanoptic.nas.search.limits import require_whole
from autopanoptic.nas.storage.folders import TrialFolders
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import Trial, TrialState

SETTLED = (TrialState.COMPLETED, TrialState.STOPPED)
"""What will never run again."""
OVER = ("trials", "strategy")
"""Why a search is over, of the reasons for which a run ends; one whose time was up has not come to its end."""


class FolderKeeper(Callback):
    """Keeps the folders of the best trials and of the front, and removes those of others once they have ended.

    Folders of trials that run, are paused or have failed stay, for these may go on. Those of paused trials go when
    their schedule gives them up, and all that are neither of the best nor of the front when the search is over. With
    several objectives a trial whose folder is gone is not counted again when others leave the front.

    Args:
        folders: of the search.
        best: how many of the best trials keep theirs beside the front, by :meth:`History.ranked`.
        schedule: of the budgets, where trials are paused.
    """

    def __init__(self, folders: TrialFolders, best: int, schedule: Schedule | None = None) -> None:
        self._folders, self._best, self._schedule = folders, best, schedule
        self._kept: set[int] = set()
        self._given_up: set[int] = set()

    def on_search_start(self, run: SearchRun) -> None:
        """Do what a kill has left to be done."""
        history = run.history
        self._given_up = set()
        self._kept = self._chosen(history, history.completed)
        self._folders.sweep()
        for trial_id in self._folders:
            if trial_id < len(history) and history[trial_id].state in SETTLED and trial_id not in self._kept:
                self._folders.remove(trial_id)
        self._give_up(history)

    def on_trial_pause(self, history: History, trial: Trial) -> None:
        """Remove the folders of the trials that will not go on."""
        self._give_up(history)

    def on_trial_end(self, history: History, trial: Trial) -> None:
        """Remove the folders that are not to be kept any more."""
        if trial.state is TrialState.STOPPED:
            self._folders.remove(trial.id)
        elif trial.state is TrialState.COMPLETED:
            before = self._kept | {trial.id}
            self._kept = self._chosen(history, [history[trial_id] for trial_id in sorted(before)])
            for trial_id in sorted(before - self._kept):
                self._folders.remove(trial_id)
        self._give_up(history)

    def on_search_end(self, history: History, reason: str | None) -> None:
        """Remove the folders of paused trials, when the search is over."""
        if reason in OVER:
            kept = self._chosen(history)
            self._folders.remove_paused(trial.id for trial in history.paused if trial.id not in kept)

    def _give_up(self, history: History) -> None:
        if self._schedule is None or not history.n_completed:
            return  # until one is completed, the best are among those that are paused
        new = set(self._schedule.given_up(history)) - self._given_up
        for trial_id in sorted(new):
            self._folders.remove(trial_id)
        self._given_up |= new

    def _chosen(self, history: History, trials: Iterable[Trial] | None = None) -> set[int]:
        ranked = history.ranked(trials)
        front = history.pareto(ranked)
        return {trial.id for trial in (*ranked[: self._best], *front)}


def keepers_of(folders: TrialFolders | None, best: int | None, schedule: Schedule | None) -> list[FolderKeeper]:
    """Return what removes folders; nothing where all of them stay.

    Raises:
        ValueError: when ``best`` is no whole number from 0, or there are no folders to keep.
    """
    if best is None:
        return []
    require_whole("keep_best", best)
    if folders is None:
        raise ValueError(f"keep_best={best} says which folders of trials stay; give folder= as well.")
    return [FolderKeeper(folders, best, schedule)]
