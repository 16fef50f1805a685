"""A search as MLflow's client reads it, of the real one and of one in memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from autopanoptic.nas import Callback, MLflowCallback, Search
from autopanoptic.nas.callbacks import common
from tests.nas.callbacks import pretended_mlflow

# MLflow's own warnings are no concern of these tests.
pytestmark = pytest.mark.filterwarnings("ignore")
Made = Callable[..., Search]
REAL = find_spec("mlflow") is not None


@pytest.fixture(params=["real", "pretended"], autouse=True)
def mlflow(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    if request.param == "pretended":
        pretended_mlflow.install(monkeypatch)
    elif not REAL:
        pytest.skip("mlflow is not installed")
    yield
    logged = [record for record in caplog.records if record.name.startswith("autopanoptic")]
    assert [record.getMessage() for record in logged if record.levelno >= logging.ERROR] == []


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"  # one database, which takes seconds to make


@pytest.fixture
def experiment(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


class Log:
    """What the client finds."""

    def __init__(self, uri: str, experiment: str) -> None:
        from mlflow import MlflowClient

        self.client = MlflowClient(tracking_uri=uri)
        experiment_id = self.client.get_experiment_by_name(experiment).experiment_id
        runs, token = [], None
        while True:
            page = self.client.search_runs([experiment_id], page_token=token)
            runs += page
            token = page.token
            if not token:
                break
        (self.search,) = [run for run in runs if "autopanoptic.search" in run.data.tags]
        self.trials: dict[int, list[Any]] = {}
        for run in runs:
            if run is not self.search:
                assert run.data.tags["mlflow.parentRunId"] == self.search.info.run_id
                self.trials.setdefault(int(run.data.tags["autopanoptic.trial"]), []).append(run)

    def series(self, run: Any, name: str) -> list[tuple[int, float]]:
        points = self.client.get_metric_history(run.info.run_id, name)
        return sorted((point.step, point.value) for point in points)


def test_the_run_of_the_search_has_its_figures(made: Made, uri: str, experiment: str) -> None:
    search = made(MLflowCallback(experiment, uri, name="first"))
    search.run(12)
    log = Log(uri, experiment)
    assert log.search.info.run_name == "first"
    assert log.search.info.status == "FINISHED"
    assert log.search.data.params["seed"] == "3"
    ids = [trial.id for trial in search.history.finished]
    assert log.series(log.search, "trial/id") == list(enumerate(map(float, ids), 1))
    best = search.history.best
    assert best is not None
    assert log.search.data.metrics["best/value"] == best.metrics["value"]


def test_trials_have_runs_with_options_reports_and_ends(made: Made, uri: str, experiment: str) -> None:
    search = made(MLflowCallback(experiment, uri))
    search.run(20)
    log = Log(uri, experiment)
    assert sorted(log.trials) == list(range(20))
    status = {"completed": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}
    assert {trial.state.value for trial in search.history} == set(status)
    for trial in search.history:
        (run,) = log.trials[trial.id]
        options = {name.replace("[", "_").replace("]", "_"): str(value) for name, value in trial.architecture.items()}
        assert run.data.params == options
        assert log.series(run, "report/value") == [(step, metrics["value"]) for step, metrics in trial.reports]
        assert run.info.status == status[trial.state.value]
        assert {name: run.data.metrics[name] for name in trial.metrics} == trial.metrics
        assert ("too small" in run.data.tags.get("autopanoptic.error", "")) == (trial.state.value == "failed")


def test_a_search_that_goes_on_has_each_trial_once(
    made: Made, uri: str, experiment: str, interrupted_after: Callable[[int], Callback]
) -> None:
    made().run(3)  # nobody listens
    with pytest.raises(KeyboardInterrupt):
        made(MLflowCallback(experiment, uri), interrupted_after(4)).run(12)
    interrupted = Log(uri, experiment)
    assert interrupted.search.info.status == "KILLED"
    assert interrupted.trials[6][0].info.status == "KILLED"
    made().run(9)
    search = made(MLflowCallback(experiment, uri))
    search.run(12)
    log = Log(uri, experiment)
    assert log.search.info.run_id == interrupted.search.info.run_id
    assert log.search.info.status == "FINISHED"
    ids = [trial.id for trial in search.history.finished]
    assert log.series(log.search, "trial/id") == list(enumerate(map(float, ids), 1))
    assert {number: len(runs) for number, runs in log.trials.items()} == dict.fromkeys(range(12), 1)
    for number, (run,) in log.trials.items():
        assert run.data.tags["autopanoptic.state"] == search.history[number].state.value
        assert len(log.series(run, "report/value")) == 2


def test_reports_of_an_attempt_that_is_void_are_gone(made: Made, uri: str, experiment: str) -> None:
    for step in (7, 1):
        with made(MLflowCallback(experiment, uri)) as search:
            trial = search.ask()
            assert trial is not None
            search.report(trial, step, {"value": 1.0})
    log = Log(uri, experiment)
    (run,) = log.trials[0]
    assert log.series(run, "report/value") == [(1, 1.0)]


def test_trials_may_go_without_runs(made: Made, uri: str, experiment: str) -> None:
    made(MLflowCallback(experiment, uri, trials=False)).run(4)
    made(MLflowCallback(experiment, uri, trials=False)).run(6)
    log = Log(uri, experiment)
    assert log.trials == {}
    assert [step for step, _ in log.series(log.search, "trial/id")] == [1, 2, 3, 4, 5, 6]


def test_ask_and_tell_without_running_trials_is_finished(made: Made, uri: str, experiment: str) -> None:
    with made(MLflowCallback(experiment, uri)) as search:
        trial = search.ask()
        assert trial is not None
        search.tell(trial, error="x" * 10_000)
    log = Log(uri, experiment)
    assert log.search.info.status == "FINISHED"
    assert log.trials[0][0].data.tags["autopanoptic.error"] == "x" * 4000


def test_many_options_go_in_parts(uri: str, experiment: str) -> None:
    from autopanoptic.nas import Choice, RandomSearch, SearchSpace

    space = SearchSpace(Choice(f"c{number}", [1, 2]) for number in range(250))
    Search(space, RandomSearch(), lambda a: 1.0, callbacks=[MLflowCallback(experiment, uri)]).run(1)
    assert len(Log(uri, experiment).trials[0][0].data.params) == 250


def test_without_mlflow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'needs mlflow. Install it by: pip install "autopanoptic\[mlflow\]"'):
        MLflowCallback()
