"""Lines that begin trials are read in a way of their own, which gives what JSON gives."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path

import pytest

from autopanoptic.nas import Architecture, Choice, JournalError, RandomSearch, Result, Search, SearchSpace
from autopanoptic.nas.storage.reading import Reading


class Kind(str, Enum):
    PLAIN = "plain"
    DEEP = "deep"


SPACE = SearchSpace(
    [
        Choice("a", [1, 2.5, True and 3, False]),
        Choice("ö, {", ["x", 'y"', "z, w", "}", "\U0001f600"]),
        Choice("kind", Kind),
    ]
)
FLAT = SearchSpace([Choice("a", range(3)), Choice("b", ["u", "v"])])
LINE = '{"event": "asked", "trial": 0, "architecture": {"a": 1, "b": "v"}, "time": 5.0}'


def architecture_of(line: str, space: SearchSpace, folder: Path) -> object:
    (folder / "line").write_text(line + "\n")
    (event,) = Reading(folder / "line", space=space)
    return event["architecture"]


def test_every_architecture_is_what_json_and_the_space_make_of_it(tmp_path: Path) -> None:
    for architecture in SPACE:
        event = {"event": "asked", "trial": 3, "architecture": architecture.to_json(), "time": 1.5}
        (tmp_path / "line").write_text(json.dumps(event) + "\n")
        (plain,) = Reading(tmp_path / "line")
        (found,) = Reading(tmp_path / "line", space=SPACE)
        assert plain == event
        assert list(found) == list(event)
        made = SPACE.without_inactive(found["architecture"])
        assert (made, hash(made), list(made.items())) == (architecture, hash(architecture), list(architecture.items()))
        assert [type(option) for option in made.values()] == [type(option) for option in architecture.values()]


def test_a_line_as_a_search_writes_it_has_its_architecture(tmp_path: Path) -> None:
    found = architecture_of(LINE, FLAT, tmp_path)
    assert type(found) is Architecture
    assert found == {"a": 1, "b": "v"}


@pytest.mark.parametrize(
    "line",
    [
        LINE.replace('"a": 1, "b": "v"', '"b": "v", "a": 1'),
        LINE.replace('"a": 1, "b": "v"', '"a": 7, "b": "v"'),
        LINE.replace('"a": 1, "b": "v"', '"a": 1'),
        LINE.replace('"a": 1, "b": "v"', '"a": 1, "b": "v", "a": 1'),
        LINE.replace('"a": 1, "b": "v"', '"a": 1,  "b": "v"'),
        LINE.replace('"time"', '"architecture": {"a": 2, "b": "u"}, "time"'),
        LINE.replace('"time"', '"architecture": {}, "time"'),
        LINE.replace('"trial": 0, ', '"trial": 0, "x": {"y": 1, "architecture": {"a": 1, "b": "v"}}, '),
        LINE.replace(": 0,", ": [0],"),
    ],
)
def test_anything_else_is_what_json_makes_of_it(tmp_path: Path, line: str) -> None:
    found = architecture_of(line, FLAT, tmp_path)
    assert type(found) is dict
    assert found == json.loads(line)["architecture"]


@pytest.mark.parametrize("change", [("}, ", "}} "), (": 0,", ": 007,"), ("5.0", "NaN"), ('"v"}', '"v"')])
def test_what_json_refuses_is_refused(tmp_path: Path, change: tuple[str, str]) -> None:
    with pytest.raises(JournalError, match="line 1 is not JSON"):
        architecture_of(LINE.replace(*change), FLAT, tmp_path)


def test_an_error_shows_the_line_as_it_stands_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Search(FLAT, RandomSearch(), journal=path) as search:
        search.ask()
    header = path.read_text().splitlines()[0]
    path.write_text(f"{header}\n{LINE}\n{LINE}\n")
    shown = (
        r"Line 3 of the journal, \{'event': 'asked', 'trial': 0, 'architecture': \{'a': 1, 'b': 'v'\}, 'time': 5.0\}"
    )
    with pytest.raises(JournalError, match=shown):
        Result.from_journal(path)


def test_a_journal_tells_its_last_event_as_it_stands_in_the_file(tmp_path: Path) -> None:
    with Search(FLAT, RandomSearch(), journal=tmp_path / "j") as search:
        search.ask()
    journal = Search(FLAT, RandomSearch(), journal=tmp_path / "j").journal
    assert journal is not None
    assert journal.last is not None
    assert type(journal.last["architecture"]) is dict
