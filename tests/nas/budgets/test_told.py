"""Who follows a search with budgets is told of pauses and promotions."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from autopanoptic.nas import (
    ASHA,
    Callback,
    Choice,
    Context,
    GridSearch,
    History,
    Report,
    Search,
    SearchSpace,
    TableCallback,
    Trial,
    export_optuna,
)

SPACE = SearchSpace([Choice("a", range(30))])
SCORES = (5.0, 9.0, 1.0, 7.0)


def train(architecture: Any, report: Report, context: Context) -> float:
    assert context.budget is not None
    if context.budget.end == 2:
        report(2, {"value": 0.5})
    return SCORES[int(architecture["a"])] + context.budget.end


def make(*callbacks: Callback, **options: Any) -> Search:
    return Search(SPACE, GridSearch(), train, budget=ASHA(4, reduction=2), callbacks=callbacks, **options)


class Told(Callback):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def on_trial_start(self, history: History, trial: Trial) -> None:
        self.told.append(("start", trial.id, trial.budget))

    def on_trial_pause(self, history: History, trial: Trial) -> None:
        self.told.append(("pause", trial.id, trial.reached, trial.metrics["value"]))

    def on_trial_promote(self, history: History, trial: Trial) -> None:
        self.told.append(("promote", trial.id, trial.budget))

    def on_trial_end(self, history: History, trial: Trial) -> None:
        self.told.append(("end", trial.id, trial.reached, trial.metrics["value"]))


def test_callbacks_are_told_of_pauses_and_promotions() -> None:
    told = Told()
    make(told).run(4)
    # Of two at budget 1 the better is trial 1, of four trials 1 and 3; of those at budget 2 trial 1.
    assert told.told == [
        ("start", 0, (0, 1)),
        ("pause", 0, 1, 6.0),
        ("start", 1, (0, 1)),
        ("pause", 1, 1, 10.0),
        ("promote", 1, (1, 2)),
        ("pause", 1, 2, 11.0),
        ("start", 2, (0, 1)),
        ("pause", 2, 1, 2.0),
        ("start", 3, (0, 1)),
        ("pause", 3, 1, 8.0),
        ("promote", 3, (1, 2)),
        ("pause", 3, 2, 9.0),
        ("promote", 1, (2, 4)),
        ("end", 1, 4, 13.0),
    ]


def test_the_table_counts_paused_trials() -> None:
    written = StringIO()
    make(TableCallback(console=Console(file=written, width=120))).run(4)
    assert "4 of 4 trials (1 completed, 3 paused)" in written.getvalue()


def test_the_line_of_progress_counts_them_too(capsys: pytest.CaptureFixture[str]) -> None:
    make().run(4, progress=True)
    assert "best value 13, 3 paused" in capsys.readouterr().err


def test_tensorboard_has_the_measurements_at_the_budgets_by_step(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from autopanoptic.nas import TensorBoardCallback

    make(TensorBoardCallback(tmp_path)).run(4)
    (log,) = tmp_path.iterdir()

    def curve(trial: int) -> list[tuple[int, float]]:
        found = EventAccumulator(str(log / f"trial-{trial:05}"))
        found.Reload()
        return [(event.step, event.value) for event in found.Scalars("report/value")]

    assert curve(1) == [(1, 10.0), (2, 0.5)]  # what was reported counts, where there is both
    assert curve(0) == [(1, 6.0)]


def test_optuna_has_paused_trials_as_pruned_ones_with_their_curves(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    search = make(journal=tmp_path / "j.jsonl")
    search.run(3)
    study = export_optuna(tmp_path / "j.jsonl", str(tmp_path / "studies.log"))
    states = [trial.state for trial in study.get_trials()]
    assert states == [optuna.trial.TrialState.PRUNED] * 3
    assert study.get_trials()[1].intermediate_values == {1: 10.0, 2: 0.5}


def test_optuna_has_them_as_running_while_the_search_goes_on(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    with make(journal=tmp_path / "j.jsonl") as search:
        for score in (1.0, 2.0):
            search.tell(search.ask(), {"value": score})  # type: ignore[arg-type]
        study = export_optuna(tmp_path / "j.jsonl", str(tmp_path / "studies.log"))
        assert [trial.state for trial in study.get_trials()] == [optuna.trial.TrialState.RUNNING] * 2
        for _ in range(2):  # trial 1 goes on to the end
            search.tell(search.ask(), {"value": 3.0})  # type: ignore[arg-type]
    study = export_optuna(tmp_path / "j.jsonl", str(tmp_path / "studies.log"))
    assert study.get_trials()[1].state is optuna.trial.TrialState.RUNNING
