"""A search in Weights & Biases."""

from __future__ import annotations

from typing import Any

from autopanoptic.nas.callbacks.base import Callback, SearchRun
from autopanoptic.nas.callbacks.common import Tally, described, require
from autopanoptic.nas.evaluation.evaluator import Metrics
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import Trial

ENDED = "trials/ended"


class WandbCallback(Callback):
    """Writes a search as one run of Weights & Biases.

    Each trial that ends is a row: its metrics, the best so far (``best/NAME``), ``trial/id``, ``trial/state``,
    ``trial/seconds``, its options (``architecture/LABEL``), and counts, over ``trials/ended``. Partial results are rows
    of ``report/NAME`` with ``report/trial`` over ``report/step``. The run's summary has the best trial.

    A search that goes on from its journal goes on in its run, and adds what is missing of the trials before. Where W&B
    is offline it cannot know what is there: the run then has all trials from the beginning.

    Runs that evaluators begin by themselves are others: this one is not ``wandb.run``.

    Args:
        project: the project's name.
        **init: more for ``wandb.init``, such as ``entity=``, ``group=``, ``tags=``, ``dir=`` or ``mode="offline"``.

    Raises:
        ImportError: when wandb is not installed.
        TypeError: when ``init`` has what the search decides: ``id`` or ``resume``.
    """

    def __init__(self, project: str = "autopanoptic", **init: Any) -> None:
        require(["wandb"], "WandbCallback", "wandb")
        taken = sorted({"id", "resume"} & init.keys())
        if taken:
            raise TypeError(f"The search decides {' and '.join(taken)}, so that a run goes on as its journal does.")
        self.project, self.init = project, init

    def on_search_start(self, run: SearchRun) -> None:
        """Open the run, and write what it lacks of the trials before."""
        import wandb

        settings = {"name": run.title, "reinit": "create_new", **self.init}
        config = {**described(run.settings), **settings.pop("config", {})}
        self._run = wandb.init(project=self.project, id=run.id, resume="allow", config=config, **settings)
        self._run.define_metric("*", step_metric=ENDED)
        self._run.define_metric("report/*", step_metric="report/step")
        logged = int(self._run.summary.get(ENDED) or 0)
        self._tally = Tally()
        for trial in run.history.finished:
            row = self._row(run.history, trial)
            if self._tally.step > logged:
                self._run.log(row)

    def on_trial_report(self, history: History, trial: Trial, step: int, metrics: Metrics) -> None:
        """Write a partial result as a row."""
        values = {f"report/{name}": value for name, value in metrics.items()}
        self._run.log({"report/trial": trial.id, "report/step": step, **values})

    def on_trial_pause(self, history: History, trial: Trial) -> None:
        """Write what was measured as a row, as if it were reported."""
        self.on_trial_report(history, trial, trial.reached, trial.metrics)

    def on_trial_end(self, history: History, trial: Trial) -> None:
        """Write the trial as a row."""
        self._run.log(self._row(history, trial))

    def on_search_end(self, history: History, reason: str | None) -> None:
        """Write the best trial into the summary, and close the run."""
        best = self._tally.best
        if best is not None:
            self._run.summary["best/trial"] = best.id
            self._run.summary["best/architecture"] = best.architecture.to_json()
        self._run.finish()

    def _row(self, history: History, trial: Trial) -> dict[str, Any]:
        figures: dict[str, Any] = self._tally.see(history, trial)
        options = {f"architecture/{label}": option for label, option in trial.architecture.to_json().items()}
        return {**figures, ENDED: self._tally.step, "trial/id": trial.id, "trial/state": trial.state.value, **options}
