"""A search as TensorBoard reads it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autopanoptic.nas import Callback, Search, TensorBoardCallback
from autopanoptic.nas.callbacks import common

pytest.importorskip("tensorboard")

Made = Callable[..., Search]


@pytest.fixture(autouse=True)
def nothing_raised(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    found.Reload()
    return found


def scalars(folder: Path, name: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in read(folder).Scalars(name)]


def only(folder: Path) -> Path:
    (found,) = folder.iterdir()
    return found


def ended(search: Search) -> list[int]:
    return [trial.id for trial in search.history.finished]


def test_the_figures_are_those_of_the_search(made: Made, tmp_path: Path) -> None:
    search = made(TensorBoardCallback(tmp_path / "tb"))
    search.run(20)
    log = only(tmp_path / "tb")
    assert scalars(log, "trial/id") == list(enumerate(map(float, ended(search)), 1))
    values = [(step, trial.metrics["value"]) for step, trial in enumerate(search.history.finished, 1) if trial.metrics]
    assert scalars(log, "value") == values
    best = search.history.best
    assert best is not None
    assert scalars(log, "best/value")[-1] == (20, best.metrics["value"])
    assert scalars(log, "trials/completed")[-1][1] == search.history.n_completed
    (text,) = read(log).Tensors("settings/text_summary")
    assert b"RegularizedEvolution" in text.tensor_proto.string_val[0]


def test_the_best_keeps_the_constraints(made: Made, tmp_path: Path) -> None:
    search = made(TensorBoardCallback(tmp_path / "tb"), constraints={"cost": (None, 1.0)})
    search.run(20)
    best = search.history.best
    assert best is not None
    assert max(trial.metrics["value"] for trial in search.history.completed) > best.metrics["value"]
    assert scalars(only(tmp_path / "tb"), "best/value")[-1][1] == best.metrics["value"]


def test_each_trial_has_a_run(made: Made, tmp_path: Path) -> None:
    search = made(TensorBoardCallback(tmp_path / "tb"))
    search.run(20)
    log = only(tmp_path / "tb")
    assert sorted(path.name for path in log.iterdir() if path.is_dir()) == [f"trial-{n:05}" for n in range(20)]
    for trial in search.history:
        folder = log / f"trial-{trial.id:05}"
        reports = [(step, pytest.approx(metrics["value"])) for step, metrics in trial.reports]
        assert scalars(folder, "report/value") == reports
        tags = read(folder).Tags()
        assert ("cost" in tags["scalars"]) == (trial.state.value == "completed")
        assert ("error/text_summary" in tags["tensors"]) == (trial.state.value == "failed")


def test_options_stand_among_the_hyperparameters(made: Made, tmp_path: Path) -> None:
    from tensorboard.plugins.hparams import metadata
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    search = made(TensorBoardCallback(tmp_path / "tb"))
    search.run(1)
    events = read(only(tmp_path / "tb") / "trial-00000")
    content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    hparams = HParamsPluginData.FromString(content).session_start_info.hparams
    architecture = search.history[0].architecture
    assert hparams["op[0]"].string_value == architecture["op[0]"]
    assert hparams["size"].number_value == architecture["size"]
    assert hparams["state"].string_value == search.history[0].state.value


def test_a_search_that_goes_on_has_each_trial_once(
    made: Made, tmp_path: Path, interrupted_after: Callable[[int], Callback]
) -> None:
    made().run(4)  # nobody listens
    with pytest.raises(KeyboardInterrupt):
        made(TensorBoardCallback(tmp_path / "tb"), interrupted_after(5)).run(15)
    made().run(11)
    search = made(TensorBoardCallback(tmp_path / "tb"))
    search.run(15)
    log = only(tmp_path / "tb")
    assert scalars(log, "trial/id") == list(enumerate(map(float, ended(search)), 1))
    for trial in search.history:
        assert len(scalars(log / f"trial-{trial.id:05}", "report/value")) == 2
        assert len(list((log / f"trial-{trial.id:05}").glob("*.result"))) == 1


def test_what_a_kill_left_is_written_anew(made: Made, tmp_path: Path) -> None:
    made(TensorBoardCallback(tmp_path / "tb")).run(6)
    folder = only(tmp_path / "tb") / "trial-00002"
    for file in folder.glob("*.result"):
        file.unlink()  # the kill came before
    search = made(TensorBoardCallback(tmp_path / "tb"))
    search.run(6)
    assert len(list(folder.glob("*.result"))) == 1
    assert len(scalars(folder, "report/value")) == 2


def test_reports_of_an_attempt_that_is_void_are_gone(made: Made, tmp_path: Path) -> None:
    with made(TensorBoardCallback(tmp_path / "tb"), stopper=None) as search:
        trial = search.ask()
        assert trial is not None
        search.report(trial, 7, {"value": 1.0})
    with made(TensorBoardCallback(tmp_path / "tb"), stopper=None) as again:
        trial = again.ask()
        assert trial is not None
        again.report(trial, 1, {"value": 2.0})
        again.tell(trial, {"value": 3.0})
    assert scalars(only(tmp_path / "tb") / "trial-00000", "report/value") == [(1, 2.0)]


def test_trials_may_go_without_runs_and_searches_have_their_own(made: Made, tmp_path: Path) -> None:
    for journal in ("a", "b"):
        made(TensorBoardCallback(tmp_path / "tb", trials=False), journal=tmp_path / journal).run(5)
    logs = list((tmp_path / "tb").iterdir())
    assert len(logs) == 2
    for log in logs:
        assert [path.is_file() for path in log.iterdir()] == [True]
        assert len(scalars(log, "trial/id")) == 5


def test_without_tensorboard_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(common, "find_spec", lambda name: None)
    with pytest.raises(
        ImportError, match=r'needs tensorboard. Install it by: pip install "autopanoptic\[tensorboard\]"'
    ):
        TensorBoardCallback(tmp_path)
