from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autopanoptic.nas import Architecture, Choice, History, Journal, JournalError, Objective, SearchSpace
from autopanoptic.nas.search.ledger import Ledger
from autopanoptic.nas.storage.events import replay
from autopanoptic.nas.trials.trial import TrialState

MAX = (Objective("value"),)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Trial 0 completed, 1 failed, 2 runs."""
    found = Ledger(History(MAX), Journal(tmp_path / "j"), {"event": "search"})
    for number in range(3):
        found.record("asked", trial=number, architecture={"a": number})
    found.record("completed", trial=0, metrics={"value": 1.0}, seconds=1.0)
    found.record("failed", trial=1, error="x", seconds=1.0)
    return found


def on_disk(path: Path) -> History:
    history = History(MAX)
    replay(history, Journal(path).events, SearchSpace([Choice("a", range(3))]))
    return history


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"kind": "asked", "trial": 7, "architecture": {"a": 7}}, ValueError),
        ({"kind": "asked", "trial": 3, "architecture": {"a": 0}}, ValueError),
        ({"kind": "reported", "trial": 0, "step": 1, "metrics": {}}, ValueError),
        ({"kind": "restarted", "trial": 1}, ValueError),
        ({"kind": "completed", "trial": 2, "metrics": {}}, ValueError),
        ({"kind": "completed", "trial": 2, "metrics": {"value": float("inf")}}, ValueError),
        ({"kind": "completed", "trial": -1, "metrics": {"value": 1.0}}, ValueError),
        ({"kind": "completed", "trial": 3, "metrics": {"value": 1.0}}, ValueError),
        ({"kind": "failed", "trial": 2, "error": object()}, TypeError),
        ({"kind": "failed", "trial": 2, "error": "x", "seconds": float("nan")}, ValueError),
        ({"kind": "reopened", "trial": 0}, ValueError),
        ({"kind": "reopened", "trial": 2}, ValueError),
        ({"kind": "transmuted", "trial": 2}, JournalError),
    ],
)
def test_what_is_refused_is_neither_written_nor_applied(
    ledger: Ledger, tmp_path: Path, event: dict[str, Any], error: type[Exception]
) -> None:
    before, content = list(ledger.history), (tmp_path / "j").read_bytes()
    with pytest.raises(error):
        ledger.record(**event)
    assert list(ledger.history) == before
    assert (tmp_path / "j").read_bytes() == content
    ledger.close()


def test_what_cannot_be_written_is_not_applied(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from autopanoptic.nas.storage import journal

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal, "_write", full)
        with pytest.raises(JournalError, match="No space left"):
            ledger.record("completed", trial=2, metrics={"value": 1.0})
    assert ledger.history[2].state is TrialState.RUNNING
    ledger.record("completed", trial=2, metrics={"value": 1.0})
    ledger.close()
    assert list(on_disk(tmp_path / "j")) == list(ledger.history)


def test_failed_trials_run_again_in_a_new_history(ledger: Ledger, tmp_path: Path) -> None:
    old = ledger.history
    assert ledger.begin(retry_failed=True) == [1]
    assert old[1].state is TrialState.FAILED
    assert [trial.id for trial in ledger.history.running] == [2, 1]
    assert [trial.id for trial in ledger.history.finished] == [0]
    assert ledger.history.trial_of(Architecture({"a": 1})) == ledger.history[1]
    ledger.record("completed", trial=1, metrics={"value": 3.0}, seconds=1.0)
    ledger.close()
    assert list(on_disk(tmp_path / "j")) == list(ledger.history)
    assert ledger.begin(retry_failed=True) == []
