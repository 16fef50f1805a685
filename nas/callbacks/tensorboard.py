"""A search in TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from autopanoptic.nas.callbacks.base import Callback, SearchRun
from autopanoptic.nas.callbacks.common import Tally, curve, described, require
from autopanoptic.nas.evaluation.evaluator import Metrics
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import Trial

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FLUSH_SECONDS = 10
RESULT = ".result"
"""Ends the name of the file with which a trial's log is complete."""


class TensorBoardCallback(Callback):
    """Writes a search as a TensorBoard log: its figures as trials end, and each trial as a run of its own.

    The log of a search is ``folder/search-ID``, with the first eight letters of :attr:`SearchRun.id`. Its scalars stand
    over the number of trials that have ended: every metric, the best so far (``best/NAME``), ``trial/id``,
    ``trial/seconds``, and counts. In ``trial-NUMBER`` within it are a trial's reports over their steps
    (``report/NAME``), its metrics, and its options for the page HPARAMS.

    A search that goes on writes on there, and adds what is missing of the trials before, so that the log has each trial
    once, also where this callback came later or was killed.

    Args:
        folder: for the logs of any number of searches; a relative one is taken from the folder in which the program is
            now.
        trials: whether each trial has a run of its own, which makes TensorBoard slow where there are thousands.

    Raises:
        ImportError: when tensorboard is not installed.
    """

    def __init__(self, folder: str | Path, *, trials: bool = True) -> None:
        require(["tensorboard"], "TensorBoardCallback", "tensorboard")
        self.folder = Path(folder).absolute()
        self.trials = trials

    def on_search_start(self, run: SearchRun) -> None:
        """Open the log, and write what it lacks of the trials before."""
        self._log = self.folder / f"search-{run.id[:8]}"
        self._open: dict[int, SummaryWriter] = {}
        self._tally = Tally()
        # TensorBoard then leaves out what an earlier run has written here, which is written again.
        self._search = self._writer(self._log, purge=0)
        rows = [f"| {name} | {value} |" for name, value in described(run.settings).items()]
        self._search.add_text("settings", "\n".join(["| | |", "|---|---|", *rows]))
        for trial in run.history.finished:
            self._add(run.history, trial)
            if self.trials and not any(self._folder(trial).glob(f"*{RESULT}")):
                self.on_trial_start(run.history, trial)
                self._add_result(trial)
        self._search.flush()

    def on_trial_start(self, history: History, trial: Trial) -> None:
        """Forget what the trial may have reported before."""
        if self.trials:
            self._forget(trial)
            for step, metrics in curve(trial):
                self.on_trial_report(history, trial, step, metrics)

    def on_trial_report(self, history: History, trial: Trial, step: int, metrics: Metrics) -> None:
        """Write a partial result into the trial's run."""
        if not self.trials:
            return
        if trial.id not in self._open:
            self._open[trial.id] = self._writer(self._folder(trial))
        for name, value in metrics.items():
            self._open[trial.id].add_scalar(f"report/{name}", value, step)

    def on_trial_pause(self, history: History, trial: Trial) -> None:
        """Write what was measured into the trial's run, unless it was reported."""
        if all(step != trial.reached for step, _ in trial.reports):
            self.on_trial_report(history, trial, trial.reached, trial.metrics)

    def on_trial_end(self, history: History, trial: Trial) -> None:
        """Write the trial's figures."""
        self._add(history, trial)
        self._search.flush()
        if self.trials:
            self._add_result(trial)

    def on_search_end(self, history: History, reason: str | None) -> None:
        """Close all files."""
        for writer in (*self._open.values(), self._search):
            writer.close()

    def _add(self, history: History, trial: Trial) -> None:
        for name, value in self._tally.see(history, trial).items():
            self._search.add_scalar(name, value, self._tally.step)

    def _add_result(self, trial: Trial) -> None:
        from torch.utils.tensorboard.summary import hparams

        if trial.id in self._open:
            self._open.pop(trial.id).close()
        writer = self._writer(self._folder(trial), suffix=RESULT)
        options = {"state": trial.state.value, **trial.architecture.to_json()}
        assert writer.file_writer is not None
        for summary in hparams(options, dict(trial.metrics)):
            writer.file_writer.add_summary(summary)
        for name, value in trial.metrics.items():
            writer.add_scalar(name, value, 0)
        if trial.error is not None:
            writer.add_text("error", f"```\n{trial.error}\n```")
        writer.close()

    def _forget(self, trial: Trial) -> None:
        if trial.id in self._open:
            self._open.pop(trial.id).close()
        for file in self._folder(trial).glob("events.out.tfevents.*"):
            file.unlink()

    def _folder(self, trial: Trial) -> Path:
        return self._log / f"trial-{trial.id:05}"

    def _writer(self, folder: Path, *, purge: int | None = None, suffix: str = "") -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(folder), purge_step=purge, flush_secs=FLUSH_SECONDS, filename_suffix=suffix)
