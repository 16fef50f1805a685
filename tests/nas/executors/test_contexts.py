"""What evaluators know of their trials, and say of them, wherever they run."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import cloudpickle
import pytest

from autopanoptic.nas import Architecture, Choice, Context, GridSearch, Result, Search, SearchSpace, TrialState
from tests.nas.executors.conftest import MakeExecutor

# The workers cannot import this module by its name.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

SPACE = SearchSpace([Choice("a", range(6))])


def evaluate(architecture: Architecture, context: Context) -> float:
    context.set_attribute("seed", [context.seed, {"repeat": context.repeat}])
    thread = threading.Thread(target=context.set_attribute, args=("from a thread", context.trial_id))
    thread.start()
    thread.join()
    (context.folder / "weights").write_text(f"{architecture['a']}")
    if architecture["a"] == 4:
        raise RuntimeError("does not fit")
    return float(architecture["a"])


def test_attributes_and_folders_come_from_where_the_evaluator_runs(make_any: MakeExecutor, tmp_path: Path) -> None:
    search = Search(
        SPACE,
        GridSearch(),
        evaluate,
        executor=make_any(2),
        journal=tmp_path / "j",
        folder=tmp_path / "f",
        keep_best=1,
        repeats=2,
        seed=3,
    )
    result = search.run()
    contexts = Search(SPACE, GridSearch(), repeats=2, seed=3)
    for trial in contexts.ask(6):
        known = result.history[trial.id]
        last = trial if trial.id == 4 else contexts.tell(trial, {"value": 0.0})
        context = contexts.context_of(last)
        expected = {"seed": [context.seed, {"repeat": context.repeat}], "from a thread": trial.id}
        assert known.attributes == expected
    states = [trial.state for trial in result.history]
    assert states == [*[TrialState.COMPLETED] * 4, TrialState.FAILED, TrialState.COMPLETED]
    assert list(Result.from_journal(tmp_path / "j").history) == list(result.history)
    files = sorted(path.relative_to(tmp_path / "f").as_posix() for path in (tmp_path / "f").rglob("weights"))
    assert files == ["trial-4/repeat-0/weights", "trial-5/repeat-0/weights", "trial-5/repeat-1/weights"]


def test_what_is_no_attribute_fails_the_trial(make_executor: MakeExecutor) -> None:
    def wrong(architecture: Architecture, context: Context) -> float:
        if architecture["a"] == 1:
            context.set_attribute("x", {1, 2})
        return 1.0

    result = Search(SPACE, GridSearch(), wrong, executor=make_executor(1)).run(2)
    assert [trial.state for trial in result.history] == [TrialState.COMPLETED, TrialState.FAILED]
    assert "Attribute 'x' is {1, 2}" in str(result.history[1].error)


def test_a_worker_that_dies_leaves_its_attributes_and_its_folder(
    make_executor: MakeExecutor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def dies_once(architecture: Architecture, context: Context) -> float:
        import os
        import time

        if (context.folder / "epoch").exists():
            return float((context.folder / "epoch").read_text())
        context.set_attribute("log", "https://example.org")
        (context.folder / "epoch").write_text("7")
        time.sleep(0.5)  # what was said shall leave the process first
        os._exit(1)

    result = Search(SPACE, GridSearch(), dies_once, executor=make_executor(1), folder=tmp_path / "f").run(1)
    assert (result.history[0].metrics, result.history[0].attributes) == ({"value": 7.0}, {"log": "https://example.org"})
