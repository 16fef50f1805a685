"""Users keep values with trials."""

from __future__ import annotations

import json
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autopanoptic.nas import (
    Architecture,
    Choice,
    Context,
    GridSearch,
    JournalError,
    Result,
    Search,
    SearchSpace,
    TrialState,
)
from autopanoptic.nas.evaluation.attributes import checked_attributes
from autopanoptic.nas.journals.exporting import export
from autopanoptic.nas.journals.repairing import repair
from autopanoptic.nas.results.optuna_export import export_optuna

SPACE = SearchSpace([Choice("a", range(4))])


def evaluate(architecture: Architecture, context: Context) -> float:
    context.set_attribute("half", int(architecture["a"]) / 2)
    context.set_attribute("half", int(architecture["a"]) / 4)
    if architecture["a"] == 2:
        raise RuntimeError("does not fit")
    return float(architecture["a"])


def test_an_evaluator_and_the_user_keep_values_with_trials(tmp_path: Path) -> None:
    search = Search(SPACE, GridSearch(), evaluate, journal=tmp_path / "j")
    search.run()
    ended = search.set_attribute(search.history[1], "note", {"seen": [True, None, "ü"]})
    search.close()
    assert ended.state is TrialState.COMPLETED
    expected = [{"half": 0.0}, {"half": 0.25, "note": {"seen": [True, None, "ü"]}}, {"half": 0.5}, {"half": 0.75}]
    assert [dict(trial.attributes) for trial in search.history] == expected
    assert list(Result.from_journal(tmp_path / "j").history) == list(search.history)
    assert list(Search(SPACE, GridSearch(), evaluate, journal=tmp_path / "j").history) == list(search.history)
    assert search.history.n_completed == 3


def test_attributes_are_there_at_once_and_outlive_an_interruption(tmp_path: Path) -> None:
    def breaks_off(architecture: Architecture, context: Context) -> float:
        context.set_attribute("url", "https://example.org/1")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Search(SPACE, GridSearch(), breaks_off, journal=tmp_path / "j").run()
    again = Search(SPACE, GridSearch(), journal=tmp_path / "j")
    trial = again.ask()
    assert trial is not None
    assert (trial.id, trial.attributes) == (0, {"url": "https://example.org/1"})
    assert again.tell(trial, error="no").attributes == trial.attributes
    again.close()


def test_asked_trials_have_a_context_that_keeps_attributes() -> None:
    search = Search(SPACE, GridSearch())
    trial = search.ask()
    assert trial is not None
    search.context_of(trial).set_attribute("gpu", 3)
    assert search.history[0].attributes == {"gpu": 3}
    assert Context().set_attribute("gpu", 3) is None  # outside of a search nothing is kept


@pytest.mark.parametrize("value", [math.nan, math.inf, {1: 2}, {"a": {3: 4}}, {1, 2}, object(), b"x", [np.zeros(3)]])
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    search = Search(SPACE, GridSearch())
    trial = search.ask()
    assert trial is not None
    with pytest.raises(ValueError, match=r"Attribute 'x' is .*must be what JSON can hold"):
        search.set_attribute(trial, "x", value)
    assert search.history[0].attributes == {}


@pytest.mark.parametrize("name", ["", 3, None])
def test_a_name_is_a_text(name: Any) -> None:
    with pytest.raises(ValueError, match="name of an attribute must be a text that is not empty"):
        Context().set_attribute(name, 1)


def test_a_recursive_value_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ValueError, match="must be what JSON can hold"):
        checked_attributes({"x": value})


def test_values_are_what_json_gives_back() -> None:
    given = {"tuple": (1, (2,)), "numpy": np.float32(0.5), "array": [np.int64(3)], "zero": np.array(1.5)}
    assert checked_attributes(given) == {"tuple": [1, [2]], "numpy": 0.5, "array": [3], "zero": 1.5}
    assert type(checked_attributes({"n": np.int64(3)})["n"]) is int


def test_there_is_no_attribute_without_a_trial() -> None:
    search = Search(SPACE, GridSearch())
    other = Search(SPACE, GridSearch()).ask()
    assert other is not None
    with pytest.raises(ValueError, match="no trial 0 to keep 'x' with"):
        search.set_attribute(other, "x", 1)


def test_late_attributes_are_dropped_when_the_run_is_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    contexts: list[Context] = []

    def keeps(architecture: Architecture, context: Context) -> float:
        contexts.append(context)
        return 1.0

    search = Search(SPACE, GridSearch(), keeps, journal=tmp_path / "j")
    search.run(1)
    before = (tmp_path / "j").read_bytes()
    thread = threading.Thread(target=contexts[0].set_attribute, args=("x", 1))
    thread.start()
    thread.join()
    assert (tmp_path / "j").read_bytes() == before
    assert "the attribute 'x' of trial 0 is dropped" in caplog.text


def test_a_journal_that_cannot_be_written_ends_the_search_also_where_the_evaluator_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = Search(SPACE, GridSearch(), lambda architecture, context: goes_on(context), journal=tmp_path / "j")

    def goes_on(context: Context) -> float:
        def full(*_: object) -> None:
            raise JournalError("the disk is full")

        assert search.journal is not None
        with monkeypatch.context() as patch:
            patch.setattr(search.journal, "append_together", full)
            with pytest.raises(JournalError):
                context.set_attribute("x", 1)
        return 1.0

    with pytest.raises(JournalError, match="the disk is full"):
        search.run()
    assert [trial.state for trial in Result.from_journal(tmp_path / "j").history] == [TrialState.RUNNING]


def test_rows_and_exports_show_attributes(tmp_path: Path) -> None:
    with Search(SPACE, GridSearch(), journal=tmp_path / "j") as search:
        trial = search.ask()
        assert trial is not None
        for name in ("note", "a", "seconds"):
            search.set_attribute(trial, name, [name])
        search.tell(trial, {"value": 1.0})
    rows = Result.from_journal(tmp_path / "j").rows()
    assert rows == [
        {
            "trial": 0,
            "state": "completed",
            "seconds": 0.0,
            "value": 1.0,
            "a": 0,
            "note": ["note"],
            "a (attribute)": ["a"],
            "seconds (attribute)": ["seconds"],
        }
    ]
    assert Result.from_journal(tmp_path / "j").to_json()["trials"][0]["attributes"] == dict(
        search.history[0].attributes
    )
    export(tmp_path / "j", tmp_path / "t.csv")
    assert '"[""note""]"' in (tmp_path / "t.csv").read_text()
    export(tmp_path / "j", tmp_path / "t.json")
    assert json.loads((tmp_path / "t.json").read_text()) == rows


def test_parquet_holds_attributes_as_json(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    with Search(SPACE, GridSearch(), journal=tmp_path / "j") as search:
        for value in ([1], None):
            trial = search.ask()
            assert trial is not None
            search.set_attribute(trial, "note", value)
    export(tmp_path / "j", tmp_path / "t.parquet")
    assert parquet.read_table(tmp_path / "t.parquet")["note"].to_pylist() == ["[1]", None]


def test_optuna_gets_attributes_also_of_trials_that_run(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    with Search(SPACE, GridSearch(), journal=tmp_path / "j") as search:
        trial = search.ask()
        assert trial is not None
        search.set_attribute(trial, "note", {"b": 1})
        search.set_attribute(trial, "seconds", 7)
        study = export_optuna(tmp_path / "j", str(tmp_path / "o.log"))
        assert study.trials[0].user_attrs == {"note": {"b": 1}, "seconds (attribute)": 7}
        search.set_attribute(trial, "note", "later")
        search.tell(trial, {"value": 1.0})
    study = export_optuna(tmp_path / "j", str(tmp_path / "o.log"))
    assert study.trials[0].user_attrs == {"note": "later", "seconds (attribute)": 7, "seconds": 0.0}


@pytest.mark.parametrize("attributes", [[], "x", None, 3])
def test_a_journal_with_other_attributes_is_refused_and_repaired(tmp_path: Path, attributes: Any) -> None:
    path = tmp_path / "j"
    Search(SPACE, GridSearch(), evaluate, journal=path).run()
    lines = path.read_text().splitlines(keepends=True)
    number = next(n for n, line in enumerate(lines) if '"annotated"' in line)
    lines[number] = json.dumps({**json.loads(lines[number]), "attributes": attributes}) + "\n"
    path.write_text("".join(lines))
    with pytest.raises(JournalError, match="'attributes' is an object"):
        Result.from_journal(path)
    assert len(repair(path).mending.problems) == 1
    assert Result.from_journal(path).history.n_completed == 3


def test_no_attribute_takes_the_column_of_another(tmp_path: Path) -> None:
    with Search(SPACE, GridSearch(), journal=tmp_path / "j") as search:
        trial = search.ask()
        assert trial is not None
        search.set_attribute(trial, "value", [1, 2])
        search.set_attribute(trial, "value (attribute)", 7)
        search.tell(trial, {"value": 1.0})
    (row,) = Result.from_journal(tmp_path / "j").rows()
    assert row["value"] == 1.0
    assert row["value (attribute)"] == 7
    assert row["value (attribute) (attribute)"] == [1, 2]
