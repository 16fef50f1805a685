"""A search in Weights & Biases: what it is given, by a package in memory; and that the real one takes it."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from autopanoptic.nas import Callback, Search, WandbCallback
from autopanoptic.nas.callbacks import common

Made = Callable[..., Search]
REAL = find_spec("wandb") is not None


@pytest.fixture(autouse=True)
def nothing_raised(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    logged = [record for record in caplog.records if record.name.startswith("autopanoptic")]
    assert [record.getMessage() for record in logged if record.levelno >= logging.ERROR] == []


class Run:
    """A run that a server knows by its id."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.summary: dict[str, Any] = {}
        self.axes: dict[str, str] = {}
        self.settings: list[dict[str, Any]] = []
        self.open = False

    def define_metric(self, name: str, *, step_metric: str) -> None:
        self.axes[name] = step_metric

    def log(self, row: dict[str, Any]) -> None:
        assert self.open
        self.rows.append(row)
        self.summary.update(row)

    def finish(self) -> None:
        self.open = False


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> dict[str, Run]:
    known: dict[str, Run] = {}

    def init(**settings: Any) -> Run:
        run = known.setdefault(settings["id"], Run())
        run.settings.append(settings)
        run.open = True
        return run

    package = ModuleType("wandb")
    package.__spec__ = ModuleSpec("wandb", None)
    package.init = init  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", package)
    return known


def test_each_trial_is_a_row(made: Made, runs: dict[str, Run]) -> None:
    search = made(WandbCallback("mine", group="g", config={"note": 1}))
    search.run(20, title="first")
    (run,) = runs.values()
    (settings,) = run.settings
    assert {name: settings[name] for name in ("project", "name", "group", "resume", "reinit")} == {
        "project": "mine", "name": "first", "group": "g", "resume": "allow", "reinit": "create_new"
    }  # fmt: skip
    assert settings["config"]["note"] == 1
    assert settings["config"]["strategy"].startswith("RegularizedEvolution")
    rows = [row for row in run.rows if "trial/state" in row]
    assert [row["trials/ended"] for row in rows] == list(range(1, 21))
    for row, trial in zip(rows, search.history.finished, strict=True):
        assert (row["trial/id"], row["trial/state"]) == (trial.id, trial.state.value)
        assert {name: row[name] for name in trial.metrics} == trial.metrics
        assert {label: row[f"architecture/{label}"] for label in trial.architecture} == dict(trial.architecture)
    best = search.history.best
    assert best is not None
    assert rows[-1]["best/value"] == best.metrics["value"]
    assert run.summary["best/trial"] == best.id
    assert run.summary["best/architecture"] == dict(best.architecture)
    assert not run.open


def test_reports_are_rows_over_their_steps(made: Made, runs: dict[str, Run]) -> None:
    search = made(WandbCallback())
    search.run(3)
    (run,) = runs.values()
    reports = [row for row in run.rows if "report/step" in row]
    assert [(row["report/trial"], row["report/step"], {"value": row["report/value"]}) for row in reports] == [
        (trial.id, step, metrics) for trial in search.history for step, metrics in trial.reports
    ]
    assert run.axes == {"*": "trials/ended", "report/*": "report/step"}


def test_a_search_that_goes_on_has_each_trial_once(
    made: Made, runs: dict[str, Run], interrupted_after: Callable[[int], Callback]
) -> None:
    made().run(3)  # nobody listens
    with pytest.raises(KeyboardInterrupt):
        made(WandbCallback(), interrupted_after(4)).run(12)
    made().run(9)
    search = made(WandbCallback())
    search.run(12)
    (run,) = runs.values()
    rows = [row for row in run.rows if "trial/state" in row]
    assert [row["trial/id"] for row in rows] == [trial.id for trial in search.history.finished]
    assert rows[-1]["trials/ended"] == 12


def test_a_run_that_does_not_know_what_is_there_has_all_trials(made: Made, runs: dict[str, Run]) -> None:
    made(WandbCallback()).run(4)
    runs.clear()  # as offline
    made(WandbCallback()).run(6)
    (run,) = runs.values()
    assert [row["trial/id"] for row in run.rows if "trial/state" in row] == [0, 1, 2, 3, 4, 5]


def test_what_the_search_decides_is_refused(runs: dict[str, Run]) -> None:
    with pytest.raises(TypeError, match="The search decides id and resume"):
        WandbCallback(id="mine", resume="must")


def test_without_wandb_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'needs wandb. Install it by: pip install "autopanoptic\[wandb\]"'):
        WandbCallback()


@pytest.mark.skipif(not REAL, reason="wandb is not installed")
@pytest.mark.filterwarnings("ignore")
def test_the_real_one_takes_it(made: Made, tmp_path: Path) -> None:
    import wandb

    found: dict[Path, Search] = {}
    for trials in (4, 6):
        search = made(WandbCallback("mine", mode="offline", dir=str(tmp_path), config={"note": 1}))
        search.run(trials, title="first")
        assert wandb.run is None, "the run of an evaluator stays its own"
        (new,) = set((tmp_path / "wandb").glob("offline-run-*/run-*.wandb")) - found.keys()
        found[new] = search
    wandb.teardown()  # W&B's own process has written all then
    for path, search in found.items():
        offline = Offline(path)
        assert (offline.project, offline.config["note"], offline.config["seed"]) == ("mine", 1, "3")
        rows = [row for row in offline.rows if "trial/state" in row]
        assert [row["trials/ended"] for row in rows] == list(range(1, len(search.history) + 1))
        for row, trial in zip(rows, search.history.finished, strict=True):
            assert (row["trial/id"], row["trial/state"]) == (trial.id, trial.state.value)
            assert {name: row[name] for name in trial.metrics} == trial.metrics
            assert {label: row[f"architecture/{label}"] for label in trial.architecture} == dict(trial.architecture)
        assert search.history.best is not None
        assert offline.summary["best/trial"] == search.history.best.id


class Offline:
    """What stands in the file that wandb keeps of a run offline: a log of LevelDB's form behind seven bytes."""

    HEAD, BLOCK, RECORD_HEAD, WHOLE, LAST = 7, 32768, 7, 1, 4

    def __init__(self, path: Path) -> None:
        from wandb.proto import wandb_internal_pb2

        self.rows: list[dict[str, Any]] = []
        self.summary: dict[str, Any] = {}
        self.config: dict[str, Any] = {}
        for message in self._messages(path.read_bytes()):
            record = wandb_internal_pb2.Record.FromString(message)
            self.config.update(self._values([*record.config.update, *record.run.config.update]))
            self.summary.update(self._values(record.summary.update))
            if record.WhichOneof("record_type") == "history":
                self.rows.append(self._values(record.history.item))
            if record.run.project:
                self.project = record.run.project

    def _messages(self, data: bytes) -> Iterator[bytes]:
        place, message = self.HEAD, b""
        while len(data) - place > self.RECORD_HEAD:
            left = self.BLOCK - place % self.BLOCK
            size, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
            if left < self.RECORD_HEAD or not kind:
                place += left
                continue
            place += self.RECORD_HEAD + size
            message += data[place - size : place]
            if kind in (self.WHOLE, self.LAST):
                yield message
                message = b""

    @staticmethod
    def _values(items: Any) -> dict[str, Any]:
        return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
