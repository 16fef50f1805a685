"""A journal as an Optuna study."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from autopanoptic.nas import ASHA, Architecture, Choice, Context, RandomSearch, Search, SearchSpace
from autopanoptic.nas.evaluation.evaluator import Report, StopTrial
from autopanoptic.nas.results import _optuna
from autopanoptic.nas.results.optuna_export import export_optuna
from autopanoptic.nas.results.result import Result
from autopanoptic.nas.storage.journal import JournalError

optuna = pytest.importorskip("optuna")
State = optuna.trial.TrialState

SPACE = SearchSpace(
    [
        Choice("op", ["conv", "pool"]),
        Choice("kernel", [7, 3, 5], ("op", "conv")),
        Choice("se", [False, True]),
        Choice("scale", [0.5, 1, "auto"]),
        Choice("depth", range(9)),
    ]
)


def measure(architecture: Any, report: Report) -> dict[str, float]:
    depth = architecture["depth"]
    for epoch in range(2):
        report(epoch, {"accuracy": depth + epoch / 10, "loss": 1.0})
    if depth == 0:
        raise RuntimeError("too shallow")
    if depth == 1:
        raise StopTrial
    size = {0.5: 0.01, 1: 0.02, "auto": 0.03}[architecture["scale"]]
    return {"accuracy": depth + size + len(architecture) / 100, "mflops": 1.0 * depth, "seconds": 3.0}


def search(journal: Path, **options: Any) -> Search:
    settings = {"objectives": "accuracy", "seed": 1, **options}
    return Search(SPACE, RandomSearch(), measure, journal=journal, **settings)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    journal = tmp_path_factory.mktemp("recorded") / "small net.jsonl"
    search(journal).run(20)
    return journal


@pytest.fixture
def journal(recorded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(recorded, tmp_path))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"{tmp_path}/studies.log"


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/studies.db"


def opened(path: str) -> Any:
    return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(path))


def event_times(journal: Path, *kinds: str) -> dict[int, datetime]:
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    return {event["trial"]: datetime.fromtimestamp(event["time"]) for event in events if event["event"] in kinds}


def test_study_is_the_search(journal: Path, database: str) -> None:
    export_optuna(journal, database)
    study = optuna.load_study(study_name="small net", storage=database)
    history = Result.from_journal(journal).history
    states = {"completed": State.COMPLETE, "failed": State.FAIL, "stopped": State.PRUNED}
    assert {trial.state.value for trial in history} == set(states)
    assert [trial.number for trial in study.trials] == list(range(20))
    for ours, theirs in zip(history, study.trials, strict=True):
        assert theirs.state == states[ours.state.value]
        assert theirs.params == ours.architecture
        assert {label: type(option) for label, option in theirs.params.items()} == {
            label: type(option) for label, option in ours.architecture.items()
        }
        assert all(theirs.distributions[label].choices == SPACE[label].options for label in ours.architecture)
        assert theirs.values == ([ours.metrics["accuracy"]] if ours.metrics else None)
        assert theirs.intermediate_values == {step: metrics["accuracy"] for step, metrics in ours.reports}
        assert theirs.user_attrs["seconds"] == ours.seconds
        assert theirs.user_attrs.get("mflops") == ours.metrics.get("mflops")
        assert theirs.user_attrs.get("seconds (metric)") == ours.metrics.get("seconds")
        assert theirs.user_attrs.get("error") == ours.error
    assert study.best_params == history.best.architecture  # type: ignore[union-attr]
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert study.metric_names == ["accuracy"]
    assert study.user_attrs["strategy"] == "RandomSearch()"
    assert study.user_attrs["seed"] == 1


def test_times_are_those_of_the_journal(journal: Path, url: str) -> None:
    study = export_optuna(journal, url)
    began, ended = event_times(journal, "asked"), event_times(journal, "completed", "failed", "stopped")
    for trial in study.trials:
        assert trial.datetime_start is not None
        assert trial.datetime_complete is not None
        assert abs(trial.datetime_start - began[trial.number]) < timedelta(milliseconds=1)
        assert abs(trial.datetime_complete - ended[trial.number]) < timedelta(milliseconds=1)


def test_again_adds_nothing(journal: Path, url: str) -> None:
    first = export_optuna(journal, url, "mine").trials
    assert export_optuna(journal, url, "mine").trials == first
    assert optuna.get_all_study_names(opened(url)) == ["mine"]


@pytest.mark.parametrize("kind", ["url", "database"])
def test_a_running_search_is_brought_up_to_date(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(kind)
    journal = tmp_path / "running.jsonl"
    with search(journal) as running:
        trials = [running.ask() for _ in range(4)]
        running.tell(trials[1], {"accuracy": 0.5, "mflops": 1.0})
        running.report(running.history[2], 0, {"accuracy": 0.25})
        study = export_optuna(journal, url)
        assert [trial.state for trial in study.trials] == [State.RUNNING, State.COMPLETE, State.RUNNING, State.RUNNING]
        assert study.trials[0].user_attrs == {}
        assert study.trials[2].intermediate_values == {0: 0.25}

        running.report(running.history[2], 1, {"accuracy": 0.75})
        running.tell(trials[2], {"accuracy": 1.5, "mflops": 2.0}, seconds=4.0)
        running.tell(trials[0], error="out of memory")
        running.ask()
        study = export_optuna(journal, url)
    ongoing = [State.FAIL, State.COMPLETE, State.COMPLETE, State.RUNNING, State.RUNNING]
    assert [trial.state for trial in study.trials] == ongoing
    assert study.trials[0].user_attrs == {"seconds": 0.0, "error": "out of memory"}
    assert study.trials[2].user_attrs == {"seconds": 4.0, "mflops": 2.0}
    assert study.trials[2].intermediate_values == {0: 0.25, 1: 0.75}
    assert study.best_trial.number == 2

    search(journal).run(8)
    study = export_optuna(journal, url)
    history = Result.from_journal(journal).history
    assert [trial.params for trial in study.trials] == [dict(trial.architecture) for trial in history]
    assert not any(trial.state == State.RUNNING for trial in study.trials)


def test_trials_that_have_gone_on_since_they_were_exported_as_ended_are_named(
    tmp_path: Path, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    def train(architecture: Architecture, context: Context) -> float:
        return float(architecture["a"])

    space, journal = SearchSpace([Choice("a", range(30))]), tmp_path / "j.jsonl"
    Search(space, RandomSearch(), train, budget=ASHA(4, reduction=2), journal=journal).run(4)
    export_optuna(journal, url)
    assert not caplog.records
    Search(space, RandomSearch(), train, budget=ASHA(4, reduction=2), journal=journal).run(20)
    export_optuna(journal, url)
    (record,) = caplog.records
    assert "have gone on since they were exported as ended" in record.getMessage()
    again = export_optuna(journal, url, "anew").trials
    states = Counter(trial.state.name for trial in again)
    assert states["COMPLETE"] == Result.from_journal(journal).history.n_completed


def test_a_search_that_has_not_begun_is_known_again(tmp_path: Path, journal: Path, url: str) -> None:
    begun = tmp_path / "begun.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    begun.write_text(lines[0])
    assert export_optuna(begun, url).trials == []
    begun.write_text("".join(lines))
    assert len(export_optuna(begun, url).trials) == 20
    assert len(export_optuna(begun, url).trials) == 20


def test_several_objectives_and_constraints(tmp_path: Path, url: str) -> None:
    objectives = {"accuracy": "max", "mflops": "min"}
    found = search(tmp_path / "two.jsonl", objectives=objectives, constraints={"mflops": (None, 4.0)}).run(30)
    study = export_optuna(tmp_path / "two.jsonl", url)
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.metric_names == ["accuracy", "mflops"]
    assert {trial.number for trial in study.best_trials} == {trial.id for trial in found.pareto()}
    broken = {trial.id for trial in found.history.completed if found.history.violation(trial)}
    noted = [trial for trial in study.trials if trial.state == State.COMPLETE]
    assert {trial.number for trial in noted if trial.system_attrs["constraints"][0] > 0} == broken
    assert 0 < len(broken) < len(noted)


def test_a_file_and_a_database_hold_the_same(journal: Path, tmp_path: Path, url: str, database: str) -> None:
    in_file, in_database = export_optuna(journal, url).trials, export_optuna(journal, database).trials
    for name in ("state", "values", "params", "user_attrs", "intermediate_values", "datetime_start", "duration"):
        assert [getattr(trial, name) for trial in in_file] == [getattr(trial, name) for trial in in_database]


def test_other_storages_are_given_as_objects(journal: Path) -> None:
    storage = optuna.storages.InMemoryStorage()
    assert len(export_optuna(journal, storage).trials) == 20
    assert optuna.get_all_study_names(storage) == ["small net"]


# What is refused


def _by_hand(journal: Path, url: str) -> None:
    optuna.create_study(study_name="small net", storage=opened(url))


def _of_another_search(journal: Path, url: str) -> None:
    other = journal.with_name("other.jsonl")
    search(other, seed=2).run(3)
    export_optuna(other, url, "small net")


def _of_a_repeated_search(journal: Path, url: str) -> None:
    other = journal.with_name("other.jsonl")
    other.write_text(re.sub(r'"time": (\d+)', lambda found: f'"time": {int(found[1]) - 60}', journal.read_text()))
    export_optuna(other, url, "small net")


def _with_another_trial(journal: Path, url: str) -> None:
    export_optuna(journal, url).add_trial(optuna.trial.create_trial(value=1.0))


def _with_changed_trials(journal: Path, url: str) -> None:
    export_optuna(journal, url)
    lines = journal.read_text().splitlines(keepends=True)
    last = max(number for number, line in enumerate(lines) if '"asked"' in line)
    event = json.loads(lines[last])
    event["architecture"]["se"] = not event["architecture"]["se"]
    lines[last] = json.dumps(event) + "\n"
    journal.write_text("".join(lines))


@pytest.mark.parametrize(
    "prepare", [_by_hand, _of_another_search, _of_a_repeated_search, _with_another_trial, _with_changed_trials]
)
def test_a_study_that_is_not_the_export_is_refused(
    prepare: Callable[[Path, str], None], journal: Path, url: str
) -> None:
    prepare(journal, url)
    before = optuna.load_study(study_name="small net", storage=opened(url)).trials
    with pytest.raises(ValueError, match=r"study 'small net' that is not the export of .*Give another study_name"):
        export_optuna(journal, url)
    assert optuna.load_study(study_name="small net", storage=opened(url)).trials == before


@pytest.mark.parametrize("wrong", ["studies.db", "nothing://x", "sqlite:////no/such/folder/studies.db"])
def test_a_storage_that_cannot_be_opened_is_refused(journal: Path, wrong: str) -> None:
    with pytest.raises(ValueError, match=f"Optuna cannot open the storage '{wrong}': .* Give one such as studies.log"):
        export_optuna(journal, wrong)


@pytest.mark.parametrize("name", ["copy.log", "picture.log"])
def test_a_file_of_another_kind_is_refused_and_left_as_it_is(name: str, journal: Path, tmp_path: Path) -> None:
    shutil.copy(journal, tmp_path / "copy.log")
    (tmp_path / "picture.log").write_bytes(b"\x89PNG\n\x00\xff\n")
    before = (tmp_path / name).read_bytes()
    with pytest.raises(ValueError, match=f"Optuna cannot open the storage .*{name}': .*Error"):
        export_optuna(journal, str(tmp_path / name))
    assert (tmp_path / name).read_bytes() == before


def test_a_missing_journal_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(FileNotFoundError, match="There is no journal"):
        export_optuna(tmp_path / "none.jsonl", url)
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(JournalError, match="does not begin with"):
        export_optuna(tmp_path / "empty.jsonl", url)
    assert not Path(url).exists()


def test_missing_optuna_is_explained(journal: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_optuna, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=re.escape('pip install "autopanoptic[optuna]"')):
        export_optuna(journal, url)


def test_optuna_is_imported_where_it_is_used() -> None:
    program = "import sys, autopanoptic.nas.results.optuna_export, autopanoptic.strategies.optuna.sampler\n"
    program += "print('optuna' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_nothing_is_printed(journal: Path, url: str, capfd: pytest.CaptureFixture[str]) -> None:
    verbosity = optuna.logging.get_verbosity()
    export_optuna(journal, url)
    assert capfd.readouterr() == ("", "")
    assert optuna.logging.get_verbosity() == verbosity
