"""A search in MLflow."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from autopanoptic.nas.callbacks.base import Callback, SearchRun
from autopanoptic.nas.callbacks.common import Tally, curve, described, require
from autopanoptic.nas.evaluation.evaluator import Metrics
from autopanoptic.nas.space.architecture import Option
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import Trial, TrialState

if TYPE_CHECKING:
    from mlflow.entities import Run

SEARCH, TRIAL, STATE, ERROR = (f"autopanoptic.{name}" for name in ("search", "trial", "state", "error"))
PARENT = "mlflow.parentRunId"
STATUS = {TrialState.COMPLETED: "FINISHED", TrialState.FAILED: "FAILED", TrialState.STOPPED: "KILLED"}
BATCH = 100
"""Parameters in one request; MLflow takes no more."""
LONGEST_ERROR = 4000
"""Characters of an error's end that a tag holds."""


class MLflowCallback(Callback):
    """Writes a search as a run of an MLflow experiment, with a nested run for each trial.

    The run of the search has its figures over the number of trials that have ended: every metric, the best so far
    (``best/NAME``), ``trial/id``, ``trial/seconds``, and counts. A trial's run has its options as parameters, its
    reports over their steps (``report/NAME``), its metrics, and the tags ``autopanoptic.state`` and
    ``autopanoptic.error``; one that was stopped, interrupted or left paused is KILLED. Characters that MLflow
    does not take in names become ``_``.

    A search that goes on from its journal goes on in its run, and adds what is missing of the trials before, so that
    each trial is there once.

    Args:
        experiment: the experiment's name; it is made where there is none.
        tracking_uri: such as ``"sqlite:///mlflow.db"`` or a server's address; what MLflow takes by itself by default.
        name: of the search's run; the title of :meth:`Search.run` by default.
        trials: whether trials have runs. Without, a search of many short trials waits less for the server.

    Raises:
        ImportError: when MLflow is not installed.
    """

    def __init__(
        self,
        experiment: str = "autopanoptic",
        tracking_uri: str | None = None,
        *,
        name: str | None = None,
        trials: bool = True,
    ) -> None:
        require(["mlflow"], "MLflowCallback", "mlflow")
        self.experiment, self.tracking_uri = experiment, tracking_uri
        self.name, self.trials = name, trials

    def on_search_start(self, run: SearchRun) -> None:
        """Open the search's run, or find it, and write what it lacks of the trials before."""
        from mlflow import MlflowClient

        self._client = MlflowClient(tracking_uri=self.tracking_uri)
        experiment = self._client.get_experiment_by_name(self.experiment)
        known = None if experiment is None else experiment.experiment_id
        self._experiment: str = known or self._client.create_experiment(self.experiment)
        self._parent = self._search_run(run)
        children = list(self._found(PARENT, self._parent))
        self._runs: dict[int, str] = {int(child.data.tags[TRIAL]): child.info.run_id for child in children}
        complete = {int(child.data.tags[TRIAL]) for child in children if STATE in child.data.tags}
        logged = {metric.value for metric in self._client.get_metric_history(self._parent, "trial/id")}
        self._tally = Tally()
        for trial in run.history.finished:
            figures = self._tally.see(run.history, trial)
            if trial.id not in logged:
                self._log(self._parent, figures, self._tally.step)
            if self.trials and trial.id not in complete:
                self.on_trial_start(run.history, trial)
                self._end(trial)

    def on_trial_start(self, history: History, trial: Trial) -> None:
        """Open the trial's run, in place of one that an earlier attempt has left."""
        if not self.trials:
            return
        if trial.id in self._runs:
            self._client.delete_run(self._runs.pop(trial.id))
        self._run_of(trial)
        for step, metrics in curve(trial):
            self.on_trial_report(history, trial, step, metrics)

    def on_trial_report(self, history: History, trial: Trial, step: int, metrics: Metrics) -> None:
        """Write a partial result into the trial's run."""
        if self.trials:
            self._log(self._run_of(trial), {f"report/{name}": value for name, value in metrics.items()}, step)

    def on_trial_pause(self, history: History, trial: Trial) -> None:
        """Write what was measured into the trial's run, unless it was reported."""
        if all(step != trial.reached for step, _ in trial.reports):
            self.on_trial_report(history, trial, trial.reached, trial.metrics)

    def on_trial_end(self, history: History, trial: Trial) -> None:
        """Write the trial's figures, and close its run."""
        self._log(self._parent, self._tally.see(history, trial), self._tally.step)
        if self.trials:
            self._end(trial)

    def on_search_end(self, history: History, reason: str | None) -> None:
        """Close the search's run, and those of trials that are still running or paused."""
        running = history.running
        for trial in (*running, *history.paused):
            if trial.id in self._runs:
                self._client.set_terminated(self._runs[trial.id], "KILLED")
        self._client.set_terminated(self._parent, "KILLED" if running else "FINISHED")

    def _search_run(self, run: SearchRun) -> str:
        for found in self._found(SEARCH, run.id):
            known: str = found.info.run_id
            self._client.update_run(known, status="RUNNING")
            return known
        return self._new_run(self.name or run.title, {SEARCH: run.id}, described(run.settings))

    def _found(self, tag: str, value: str) -> Iterator[Run]:
        token = None
        while True:
            page = self._client.search_runs([self._experiment], f"tags.`{tag}` = '{value}'", page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _run_of(self, trial: Trial) -> str:
        if trial.id not in self._runs:
            tags = {PARENT: self._parent, TRIAL: str(trial.id)}
            self._runs[trial.id] = self._new_run(f"trial {trial.id}", tags, trial.architecture.to_json())
        return self._runs[trial.id]

    def _new_run(self, name: str, tags: dict[str, str], parameters: Mapping[str, Option]) -> str:
        from mlflow.entities import Param

        run: str = self._client.create_run(self._experiment, run_name=name, tags=tags).info.run_id
        entries = [Param(_name(key), str(value)) for key, value in parameters.items()]
        for start in range(0, len(entries), BATCH):
            self._client.log_batch(run, params=entries[start : start + BATCH])
        return run

    def _log(self, run: str, metrics: Metrics, step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(run, [Metric(_name(key), value, now, step) for key, value in metrics.items()])

    def _end(self, trial: Trial) -> None:
        run = self._run_of(trial)
        self._log(run, {**trial.metrics, "trial/seconds": trial.seconds}, 0)
        if trial.error is not None:
            self._client.set_tag(run, ERROR, trial.error[-LONGEST_ERROR:])
        self._client.set_terminated(run, STATUS[trial.state])
        self._client.set_tag(run, STATE, trial.state.value)  # last: with it the run is complete


def _name(text: str) -> str:
    return re.sub(r"[^\w\-. /]", "_", text)
