"""A damaged journal of a search with budgets is repaired."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autopanoptic.nas import ASHA, Choice, GridSearch, JournalError, Result, Search, SearchSpace, TrialState
from autopanoptic.nas.journals.exporting import export
from autopanoptic.nas.journals.repairing import repair
from autopanoptic.nas.journals.showing import show

SPACE = SearchSpace([Choice("a", range(30))])


def make(path: Path) -> Search:
    return Search(SPACE, GridSearch(), lambda a: float(a["a"]), budget=ASHA(4, reduction=2), journal=path)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    make(tmp_path / "j").run(6, progress=False)
    return tmp_path / "j"


def damage(path: Path, leaves_out: Callable[[dict[str, Any]], bool]) -> list[str]:
    """Leave some lines out, repair the journal, and return what was said."""
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not leaves_out(json.loads(line))))
    return [text for _, text in repair(path).mending.problems]


def of(path: Path) -> list[Any]:
    return [(t.state, t.metrics, [r[:2] for r in t.rungs]) for t in Result.from_journal(path).history]


def test_a_lost_promotion_shows_by_what_was_measured(journal: Path) -> None:
    before = of(journal)
    said = damage(journal, lambda event: event["event"] == "promoted")
    assert said
    assert all("which was paused, went on: a record of that is put in" in text for text in said)
    assert of(journal) == before


def test_what_follows_a_lost_pause_is_left_out_and_evaluated_again(journal: Path) -> None:
    assert of(journal)[1][2] == [(1, {"value": 1.0}), (2, {"value": 1.0})]
    said = damage(journal, lambda event: event["event"] == "paused" and event["trial"] == 1 and event["budget"] == 1)
    assert any("not paused, so it cannot go on" in text for text in said)
    assert any("has a budget of 1, but was paused with 2" in text for text in said)
    assert Result.from_journal(journal).history[1].state is TrialState.RUNNING
    make(journal).run(6, progress=False)
    # It is measured again, and is not promoted, as the trials that have come since are better.
    assert of(journal)[1] == (TrialState.PAUSED, {"value": 1.0}, [(1, {"value": 1.0})])


def test_a_pause_that_is_there_twice_is_left_out(journal: Path) -> None:
    before, whole = of(journal), journal.read_bytes()
    lines = journal.read_text().splitlines(keepends=True)
    place = next(n for n, line in enumerate(lines) if json.loads(line)["event"] == "paused")
    journal.write_text("".join([*lines[: place + 1], *lines[place:]]))
    with pytest.raises(JournalError, match="not running, so it cannot become paused"):
        Result.from_journal(journal)
    (text,) = [text for _, text in repair(journal).mending.problems]
    assert "trial 0 has ended before, as paused" in text
    assert (of(journal), journal.read_bytes()) == (before, whole)


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "9", None, 1 << 70])
@pytest.mark.parametrize("kind", ["asked", "paused", "promoted"])
def test_a_budget_is_a_whole_number(journal: Path, kind: str, wrong: Any) -> None:
    lines = journal.read_text().splitlines(keepends=True)
    place = next(n for n, line in enumerate(lines) if json.loads(line)["event"] == kind)
    lines[place] = json.dumps({**json.loads(lines[place]), "budget": wrong}) + "\n"
    journal.write_text("".join(lines))
    with pytest.raises(JournalError, match="'budget' is a whole number above 0, not"):
        Result.from_journal(journal)


def test_a_promotion_to_what_has_been_reached_is_refused(journal: Path) -> None:
    lines = journal.read_text().splitlines(keepends=True)
    place = next(n for n, line in enumerate(lines) if json.loads(line)["event"] == "promoted")
    lines[place] = json.dumps({**json.loads(lines[place]), "budget": 1}) + "\n"
    journal.write_text("".join(lines))
    with pytest.raises(JournalError, match="has reached 1, so its budget cannot be Budget"):
        Result.from_journal(journal)


def test_it_is_shown_and_exported(journal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show(journal, 3)
    printed = capsys.readouterr().out
    assert "ASHA(max_budget=4, min_budget=1, reduction=2" in printed.replace("\n", "")
    states = [state for state, _, _ in of(journal)]
    assert f"{states.count(TrialState.PAUSED)} paused" in printed
    assert "compared at a budget of 4" in printed
    assert export(journal, tmp_path / "trials.csv") == 6
    assert (tmp_path / "trials.csv").read_text().splitlines()[0] == "trial,state,seconds,budget,value,a"
