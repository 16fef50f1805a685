"""Journals are read event by event, and what anybody may have written is checked."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from autopanoptic.nas import Choice, Journal, JournalError, RandomSearch, Result, Search, SearchSpace
from autopanoptic.nas.storage.checks import check_fields
from autopanoptic.nas.storage.reading import Reading

SPACE = SearchSpace([Choice("a", range(9)), Choice("b", range(9))])


def test_a_reading_counts_and_keeps_the_ends(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(b'{"event": "a"}\n{"event": "b"}\n{"event": "c"}\n{"ev')
    reading = Reading(path)
    assert reading.header() == {"event": "a"}
    assert [event["event"] for event in reading] == ["a", "b", "c"]
    assert (reading.first, reading.last, reading.count) == ({"event": "a"}, {"event": "c"}, 3)
    assert reading.length == len(path.read_bytes()) - len(b'{"ev')
    assert [event["event"] for event in Reading(path, end=len(b'{"event": "a"}\n'))] == ["a"]
    assert list(Reading(tmp_path / "none")) == []


def test_a_journal_tells_what_was_appended(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        assert (journal.count, journal.last, journal.events) == (0, None, [])
        for number in range(3):
            journal.append({"event": "a", "n": number})
            assert (journal.count, journal.last) == (number + 1, {"event": "a", "n": number})
        with Path(journal.path).open("ab") as file:
            file.write(b'{"event": "of another"}\n')
        assert [event["n"] for event in journal.events] == [0, 1, 2], "what the journal knows of, and no more"


def test_an_open_journal_holds_no_events(tmp_path: Path) -> None:
    line = json.dumps({"event": "a", "text": "x" * 1000}) + "\n"
    (tmp_path / "j").write_text(line * 3000)
    tracemalloc.start()
    journal = Journal(tmp_path / "j")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert journal.count == 3000
    assert peak < 300_000


def test_a_search_reads_its_journal_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Search(SPACE, RandomSearch(), lambda a: 1.0, journal=tmp_path / "j").run(5)
    read: list[int] = []
    iterate = Reading.__iter__

    def counted(reading: Reading) -> Any:
        for event in iterate(reading):
            read.append(reading.count)
            yield event

    monkeypatch.setattr(Reading, "__iter__", counted)
    search = Search(SPACE, RandomSearch(), lambda a: 1.0, journal=tmp_path / "j")
    assert read == [1, *range(1, 13)], "the header, then everything"
    search.run(20)
    assert len(read) == 13
    assert len(Result.from_journal(tmp_path / "j").history) == 20


def test_a_journal_that_is_open_may_be_given(tmp_path: Path) -> None:
    Search(SPACE, RandomSearch(), lambda a: 1.0, journal=tmp_path / "j").run(5)
    with Journal(tmp_path / "j") as journal:
        search = Search(SPACE, RandomSearch(), lambda a: 1.0, journal=journal)
        assert search.journal is journal
        assert len(search.run(9).history) == 9
        assert journal.last is not None
        assert journal.last["event"] == "ended"


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"event": "completed", "trial": 0}, "'metrics' is missing; it is an object of finite numbers"),
        ({"event": "completed", "trial": True, "metrics": {}}, "'trial' is the number of a trial, not True"),
        ({"event": "completed", "trial": 0, "metrics": {"a": "1"}}, "'metrics' is an object of finite numbers"),
        ({"event": "completed", "trial": 0, "metrics": {"a": 10**400}}, "'metrics' is an object"),
        ({"event": "completed", "trial": 0, "metrics": {"a": 1}, "seconds": "1"}, "'seconds' is a finite number"),
        ({"event": "reported", "trial": 0, "metrics": {}, "step": 1.5}, "'step' is a whole number, not 1.5"),
        ({"event": "asked", "trial": 0, "architecture": [1]}, r"'architecture' is an object, not \[1\]"),
        ({"event": "failed", "trial": 0, "error": None}, "'error' is a text, not None"),
        ({"event": "ended", "reason": 3}, "'reason' is a text, not 3"),
        ({"event": "interrupted", "trials": [0, "1"]}, "'trials' is a list of numbers"),
        ({"event": "a", "time": 1e300}, "'time' is a number of seconds since 1970"),
    ],
)
def test_fields_of_other_types_are_refused(event: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_fields(event)


@pytest.mark.parametrize(
    "line", [b"[" * 100_000, b'{"event": NaN}', b'{"event": "a", "x": Infinity}', b'{"event": "a", "x": ' + b"9" * 9999]
)
def test_what_the_parser_cannot_take_is_refused(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "j").write_bytes(line + b"\n")
    with pytest.raises(JournalError, match="line 1 is not JSON"):
        Journal(tmp_path / "j")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"objectives": {"value": "up"}}, r"describes no search in its line 1 \(ValueError: Objective 'value'"),
        ({"objectives": 3}, "describes no search"),
        ({"space": [{"label": "a"}]}, "describes no search"),
        ({"space": None}, "describes no search"),
        ({"constraints": {"a": [1, 2, 3]}}, "describes no search"),
        ({"initial": 3}, "initial architectures that are none: 3"),
        ({"initial": [{"a": [1]}]}, "initial architectures that are none"),
    ],
)
def test_a_header_that_describes_no_search_is_refused(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    path = tmp_path / "j"
    Search(SPACE, RandomSearch(), lambda a: 1.0, journal=path).run(2)
    header, *rest = path.read_text().splitlines(keepends=True)
    path.write_text(json.dumps({**json.loads(header), **changed}) + "\n" + "".join(rest))
    with pytest.raises(JournalError, match=message):
        Result.from_journal(path)


@pytest.mark.parametrize("text", ["(" * 5000, "-" * 9000 + "1", "x" * 100_000, "a\x00b", "RandomSearch(\ud800)"])
def test_a_strategy_that_nothing_could_parse_is_another_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / "j"
    Search(SPACE, RandomSearch(), lambda a: 1.0, journal=path).run(2)
    header, *rest = path.read_text().splitlines(keepends=True)
    path.write_text(json.dumps({**json.loads(header), "strategy": text}) + "\n" + "".join(rest))
    with pytest.raises(JournalError, match="its strategy is"):
        Search(SPACE, RandomSearch(), lambda a: 1.0, journal=path)
