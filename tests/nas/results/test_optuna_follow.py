"""A study that follows a running search."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from autopanoptic.nas import Choice, JournalError, RandomSearch, Search, SearchSpace, follow_optuna
from autopanoptic.nas.results import _optuna

optuna = pytest.importorskip("optuna")
State = optuna.trial.TrialState
SPACE = SearchSpace([Choice("depth", range(30))])


def search(journal: Path) -> Search:
    return Search(SPACE, RandomSearch(), lambda a: float(a["depth"]), journal=journal)


def states(study: Any) -> list[Any]:
    return [trial.state for trial in study.get_trials()]


@pytest.fixture(params=["file", "database"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{tmp_path}/studies.log" if request.param == "file" else f"sqlite:///{tmp_path}/studies.db"


def test_the_study_follows_until_the_search_has_ended(tmp_path: Path, url: str) -> None:
    journal = tmp_path / "mine.jsonl"
    with search(journal) as running:
        trial = running.ask()
        assert trial is not None
        studies = follow_optuna(journal, url, seconds=0.01)
        assert states(next(studies)) == [State.RUNNING]
        running.tell(trial, {"value": 1.0})
        assert states(next(studies)) == [State.COMPLETE]
        running.ask()
    assert states(next(studies)) == [State.COMPLETE, State.RUNNING], "one that is interrupted may go on"
    search(journal).run(4)
    *_, last = studies
    assert states(last) == [State.COMPLETE] * 4
    assert states(optuna.load_study(study_name="mine", storage=last._storage)) == [State.COMPLETE] * 4


def test_a_journal_without_growth_gives_no_update_and_a_finished_one_gives_one(tmp_path: Path) -> None:
    journal = tmp_path / "mine.jsonl"
    search(journal).run(3)
    (study,) = follow_optuna(journal, f"{tmp_path}/studies.log")
    assert len(study.get_trials()) == 3


def test_a_journal_is_waited_for(tmp_path: Path) -> None:
    journal, found = tmp_path / "later.jsonl", list[Any]()
    follow = follow_optuna(journal, f"{tmp_path}/studies.log", seconds=0.01)
    thread = threading.Thread(target=lambda: found.extend(follow), daemon=True)
    thread.start()
    journal.touch()  # as for a moment before the first line
    with journal.open("a") as file:
        file.write('{"event": "sea')
    thread.join(0.1)
    assert thread.is_alive()
    journal.unlink()
    search(journal).run(3)
    thread.join(60)
    assert not thread.is_alive()
    assert states(found[-1]) == [State.COMPLETE] * 3


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("something\n")
    with pytest.raises(JournalError, match="line 1 is not JSON"):
        next(follow_optuna(tmp_path / "other", f"{tmp_path}/studies.log"))
    with pytest.raises(ValueError, match="Optuna cannot open the storage"):
        next(follow_optuna(tmp_path / "other", "studies.db"))


def test_without_optuna_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_optuna, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "autopanoptic\[optuna\]"'):
        next(follow_optuna(tmp_path / "j", f"{tmp_path}/studies.log"))
