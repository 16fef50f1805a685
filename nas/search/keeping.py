"""Which trials keep their folders."""

from __future__ import annotations

from collections.abc import Iterable

from autopanoptic.nas.callbacks.base import Callback, SearchRun
from autopanoptic.nas.search.limits import require_whole
from autopanoptic.nas.storage.folders import TrialFolders
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import Trial, TrialState

SETTLED = (TrialState.COMPLETED, TrialState.STOPPED)
"""What will never run again."""


class FolderKeeper(Callback):
    """Keeps the folders of the best trials and of the front, and removes those of others once they have ended.

    Folders of trials that run, are paused or have failed stay, for these may go on. With several objectives a trial
    whose folder is gone is not counted again when others leave the front.

    Args:
        folders: of the search.
        best: how many of the best trials keep theirs beside the front, by :meth:`History.ranked`.
    """

    def __init__(self, folders: TrialFolders, best: int) -> None:
        self._folders, self._best = folders, best
        self._kept: set[int] = set()

    def on_search_start(self, run: SearchRun) -> None:
        """Do what a kill has left to be done."""
        history = run.history
        self._kept = self._chosen(history, history.completed)
        self._folders.sweep()
        for trial_id in self._folders:
            if trial_id < len(history) and history[trial_id].state in SETTLED and trial_id not in self._kept:
                self._folders.remove(trial_id)

    def on_trial_end(self, history: History, trial: Trial) -> None:
        """Remove the folders that are not to be kept any more."""
        if trial.state is TrialState.STOPPED:
            self._folders.remove(trial.id)
        elif trial.state is TrialState.COMPLETED:
            before = self._kept | {trial.id}
            self._kept = self._chosen(history, [history[trial_id] for trial_id in sorted(before)])
            for trial_id in sorted(before - self._kept):
                self._folders.remove(trial_id)

    def _chosen(self, history: History, trials: Iterable[Trial]) -> set[int]:
        ranked = history.ranked(trials)
        front = history.pareto(ranked)
        return {trial.id for trial in (*ranked[: self._best], *front)}


def keepers_of(folders: TrialFolders | None, best: int | None) -> list[FolderKeeper]:
    """Return what removes folders; nothing where all of them stay.

    Raises:
        ValueError: when ``best`` is no whole number from 0, or there are no folders to keep.
    """
    if best is None:
        return []
    require_whole("keep_best", best)
    if folders is None:
        raise ValueError(f"keep_best={best} says which folders of trials stay; give folder= as well.")
    return [FolderKeeper(folders, best)]
