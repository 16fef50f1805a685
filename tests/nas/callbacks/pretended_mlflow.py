"""As much of MLflow as the callback uses, in memory; the tests run against the real one too where it is installed."""

from __future__ import annotations

import re
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

PAGE = 3
STORES: dict[str, Client] = {}


class Page(list[Any]):
    token: str | None = None


class Client:
    """Of one tracking URI."""

    def __new__(cls, tracking_uri: str | None = None) -> Client:
        """Return the one client of a URI."""
        key = str(tracking_uri)
        if key not in STORES:
            STORES[key] = super().__new__(cls)
            STORES[key].experiments, STORES[key].runs = {}, {}
        return STORES[key]

    experiments: dict[str, str]
    runs: dict[str, Any]

    def get_experiment_by_name(self, name: str) -> Any:
        known = self.experiments.get(name)
        return None if known is None else SimpleNamespace(experiment_id=known)

    def create_experiment(self, name: str) -> str:
        assert name not in self.experiments
        self.experiments[name] = str(len(self.experiments))
        return self.experiments[name]

    def create_run(self, experiment_id: str, *, run_name: str, tags: dict[str, str]) -> Any:
        run_id = f"run{len(self.runs)}"
        info = SimpleNamespace(run_id=run_id, run_name=run_name, experiment_id=experiment_id, status="RUNNING")
        data = SimpleNamespace(tags=dict(tags), params={}, metrics={})
        self.runs[run_id] = SimpleNamespace(info=info, data=data, deleted=False, points=[])
        return self.runs[run_id]

    def get_run(self, run_id: str) -> Any:
        return self.runs[run_id]

    def update_run(self, run_id: str, status: str) -> None:
        self.runs[run_id].info.status = status

    def set_terminated(self, run_id: str, status: str) -> None:
        self.update_run(run_id, status)

    def delete_run(self, run_id: str) -> None:
        self.runs[run_id].deleted = True

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        assert len(value) <= 5000
        self.runs[run_id].data.tags[key] = value

    def log_batch(self, run_id: str, metrics: Any = (), params: Any = ()) -> None:
        run = self.runs[run_id]
        assert not run.deleted
        assert len(params) <= 100
        for entry in (*metrics, *params):
            assert re.fullmatch(r"[\w\-. /]+", entry.key), entry.key
        for metric in metrics:
            run.points.append(metric)
            run.data.metrics[metric.key] = metric.value
        run.data.params.update({entry.key: entry.value for entry in params})

    def get_metric_history(self, run_id: str, key: str) -> list[Any]:
        return [point for point in self.runs[run_id].points if point.key == key]

    def search_runs(self, experiments: list[str], filter_string: str = "", page_token: str | None = None) -> Page:
        found = [run for run in self.runs.values() if run.info.experiment_id in experiments and not run.deleted]
        if filter_string:
            match = re.fullmatch(r"tags\.`([\w.]+)` = '([^']*)'", filter_string)
            assert match is not None
            found = [run for run in found if run.data.tags.get(match[1]) == match[2]]
        start = int(page_token or 0)
        page = Page(found[start : start + PAGE])
        page.token = str(start + PAGE) if start + PAGE < len(found) else None
        return page


class Metric:
    def __init__(self, key: str, value: float, timestamp: int, step: int) -> None:
        self.key, self.value, self.timestamp, self.step = key, value, timestamp, step


class Param:
    def __init__(self, key: str, value: str) -> None:
        self.key, self.value = key, value


def install(patch: pytest.MonkeyPatch) -> None:
    """Let it be imported as ``mlflow``."""
    STORES.clear()
    package, entities = ModuleType("mlflow"), ModuleType("mlflow.entities")
    package.__spec__ = ModuleSpec("mlflow", None)
    package.MlflowClient = Client  # type: ignore[attr-defined]
    package.entities = entities  # type: ignore[attr-defined]
    entities.Metric, entities.Param = Metric, Param  # type: ignore[attr-defined]
    patch.setitem(sys.modules, "mlflow", package)
    patch.setitem(sys.modules, "mlflow.entities", entities)
