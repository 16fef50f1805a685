"""A promoted trial goes on from the checkpoint in its own folder, wherever it runs."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from autopanoptic.nas import (
    ASHA,
    Architecture,
    Choice,
    Context,
    Executor,
    Hyperband,
    InlineExecutor,
    ProcessExecutor,
    RandomSearch,
    RayExecutor,
    Schedule,
    Search,
    SearchSpace,
)

# Worker processes cannot import this module by its name.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

SPACE = SearchSpace([Choice("rate", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]), Choice("start", range(20))])


class Descent:
    """Gradient descent on w**2, with its checkpoint in the trial's folder.

    Args:
        log: a folder in which each step leaves a file.
        deadly: the epoch before which the worker kills itself, once for each trial.
    """

    def __init__(self, log: Path, deadly: int | None = None) -> None:
        self.log, self.deadly = log, deadly

    def __call__(self, architecture: Architecture, context: Context) -> float:
        assert context.budget is not None
        checkpoint = context.folder / "checkpoint.json"
        state: dict[str, Any] = {"epoch": 0, "weight": float(architecture["start"]) + 1}
        if checkpoint.exists():
            state = json.loads(checkpoint.read_text())
        assert state["epoch"] >= context.budget.start
        for epoch in range(state["epoch"], context.budget.end):
            self._die_once(context, epoch)
            state = {"epoch": epoch + 1, "weight": state["weight"] * (1 - float(architecture["rate"]))}
            (self.log / f"{context.trial_id}-{epoch}-{os.getpid()}").touch()
            partial = checkpoint.with_suffix(".partial")
            partial.write_text(json.dumps(state))
            partial.replace(checkpoint)
        return float(-abs(state["weight"]))

    def _die_once(self, context: Context, epoch: int) -> None:
        mark = self.log / f"dead-{context.trial_id}"
        if epoch == self.deadly and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def steps(self) -> list[tuple[int, int]]:
        """The steps that were made: trial and epoch."""
        found = (path.name.split("-") for path in self.log.iterdir() if not path.name.startswith("dead"))
        return sorted((int(trial), int(epoch)) for trial, epoch, _ in found)


def run(tmp_path: Path, schedule: Schedule, executor: Executor, deadly: int | None = None) -> tuple[Search, Descent]:
    (tmp_path / "log").mkdir()
    descent = Descent(tmp_path / "log", deadly)
    search = Search(
        SPACE,
        RandomSearch(),
        descent,
        budget=schedule,
        executor=executor,
        folder=tmp_path / "trials",
        ordered=True,
    )
    search.run(14)
    return search, descent


def check(search: Search, descent: Descent) -> None:
    """Each epoch was trained once, and the result is that of an uninterrupted training."""
    history = search.history
    assert max(trial.reached for trial in history) == 9
    assert descent.steps() == [(trial.id, epoch) for trial in history for epoch in range(trial.reached)]
    for trial in history:
        for result in trial.rungs:
            left = (1 - float(trial.architecture["rate"])) ** result.budget
            weight = (float(trial.architecture["start"]) + 1) * left
            assert result.metrics == {"value": pytest.approx(-weight)}


@pytest.mark.parametrize("schedule", [ASHA(9), Hyperband(9)])
def test_each_epoch_is_trained_once(tmp_path: Path, schedule: Schedule) -> None:
    check(*run(tmp_path, schedule, InlineExecutor()))


def test_so_it_is_in_worker_processes_one_of_which_dies(tmp_path: Path) -> None:
    search, descent = run(tmp_path, ASHA(9), ProcessExecutor(2), deadly=5)
    assert list(descent.log.glob("dead-*"))
    check(search, descent)


@pytest.mark.slow
def test_so_it_is_on_ray(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    check(*run(tmp_path, ASHA(9), RayExecutor(workers=2, resources={"num_cpus": 0.5})))
