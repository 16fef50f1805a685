"""``autopanoptic journal``: what a user types and reads."""

from __future__ import annotations

import builtins
import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from autopanoptic.nas import Choice, RandomSearch, Result, Search, SearchSpace
from autopanoptic.nas.cli import app
from autopanoptic.nas.journals.exporting import export

RUNNER = CliRunner()


def run(*arguments: object) -> Any:
    return RUNNER.invoke(app, ["journal", *map(str, arguments)], catch_exceptions=False)


def test_show_fits_80_columns(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    before = journal.read_bytes()
    result = run("show", journal, "--top", 3)
    assert result.exit_code == 0
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    history, text = Result.from_journal(journal).history, " ".join(result.stdout.split())
    for shown in (
        "space 8 choices, 192 architectures", "strategy RandomSearch()", "objectives accuracy: max, latency: min",
        "constraints none", "seed 2", "format 2", f"{history.n_completed} completed", "Best 3 trials", "records",
    ):  # fmt: skip
        assert shown in text
    best = history.ranked()[0]
    assert f"{best.id} {best.metrics['accuracy']:.5g} {best.metrics['latency']:.5g}" in text
    assert journal.read_bytes() == before
    assert len(list(journal.parent.iterdir())) == 2, "the journal and the lock of its search"


def test_show_gives_control_characters_no_effect(tmp_path: Path) -> None:
    space = SearchSpace([Choice("\x1b[2Jlabel", ["\x1b]0;title\x07", "b"])])
    Search(space, RandomSearch(), lambda a: 1.0, objectives="a\x1b[31m", journal=tmp_path / "j").run(2)
    shown = [run("show", tmp_path / "j"), RUNNER.invoke(app, ["show", str(tmp_path / "j")], catch_exceptions=False)]
    for result in shown:
        assert result.exit_code == 0
        assert "\x1b" not in result.stdout
        assert "\\x1b[31m" in result.stdout.replace("\n", "")


def test_check_of_a_whole_journal(journal: Path) -> None:
    result = run("check", journal)
    assert result.exit_code == 0
    records = len(journal.read_text().splitlines())
    assert result.stdout.startswith(f"{journal} is whole: {records} records of 12 trials (")


def test_check_names_lines_and_repair_mends_them(journal: Path) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:3], b"\x1bdamage\n", *lines[4:]]) + b'{"eve')
    checked = run("check", journal)
    assert checked.exit_code == 1
    assert "line 4 is damaged: it is not JSON" in checked.stdout
    assert f"line {len(lines) + 1} is cut short after 5 bytes" in checked.stdout
    assert f"`autopanoptic journal repair {journal}` keeps" in checked.stdout
    assert "\x1b" not in checked.stdout
    repaired = run("repair", journal)
    assert repaired.exit_code == 0
    assert "line 4 is damaged" in repaired.stdout
    assert f"What stood there before is kept as {journal}.backup" in repaired.stdout
    assert run("check", journal).exit_code == 0
    assert "Nothing to repair" in run("repair", journal).stdout


def test_check_lists_twenty_problems_or_all(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes() + b"x\n" * 30)
    assert run("check", journal).stdout.count("is damaged") == 20
    assert "and 10 more: see them by --all" in run("check", journal).stdout
    assert run("check", journal, "--all").stdout.count("is damaged") == 30


@pytest.mark.parametrize("command", ["show", "check", "repair"])
def test_a_journal_that_is_not_there(tmp_path: Path, command: str) -> None:
    result = run(command, tmp_path / "none")
    assert (result.exit_code, result.stderr) == (1, f"Error: There is no journal {tmp_path / 'none'}.\n")
    assert list(tmp_path.iterdir()) == []


def test_export_to_csv_and_json(journal: Path, tmp_path: Path) -> None:
    rows = Result.from_journal(journal).rows()
    assert run("export", journal, tmp_path / "t.json").stdout == f"Wrote 12 trials to {tmp_path / 't.json'}\n"
    assert json.loads((tmp_path / "t.json").read_text()) == rows
    assert run("export", journal, tmp_path / "t.txt", "--format", "csv").exit_code == 0
    with (tmp_path / "t.txt").open(newline="") as file:
        found = list(csv.DictReader(file))
    names = list(dict.fromkeys(name for row in rows for name in row))
    assert [list(row) for row in found] == [names] * 12
    assert found == [{name: str(row.get(name, "")) for name in names} for row in rows]


def test_export_to_parquet(journal: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
    assert run("export", journal, tmp_path / "t.parquet").exit_code == 0
    rows = Result.from_journal(journal).rows()
    table = parquet.read_table(tmp_path / "t.parquet")
    found = [{name: value for name, value in row.items() if value is not None} for row in table.to_pylist()]
    assert found == rows
    assert str(table.schema.field("trial").type) == "int64"
    assert str(table.schema.field("accuracy").type) == "double"


def test_options_of_several_types_become_texts_in_parquet(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
    space = SearchSpace([Choice("mixed", [1, "a", 2.5, "yes"]), Choice("big", [2**70, 1]), Choice("n", [1, 2.5])])
    Search(space, RandomSearch(), lambda a: 1.0, journal=tmp_path / "j").run(16)
    export(tmp_path / "j", tmp_path / "t.parquet")
    table = parquet.read_table(tmp_path / "t.parquet").to_pydict()
    assert set(table["mixed"]) == {"1", "a", "2.5", "yes"}
    assert set(table["big"]) == {float(2**70), 1.0}
    assert set(table["n"]) == {1.0, 2.5}


def test_parquet_without_pyarrow_names_the_extra(
    journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name.split(".")[0] == "pyarrow":
            raise ImportError(name)
        return imported(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    result = run("export", journal, tmp_path / "t.parquet")
    assert result.exit_code == 1
    assert 'pip install "autopanoptic[parquet]"' in result.stderr
    assert not (tmp_path / "t.parquet").exists()


@pytest.mark.parametrize("linked", [False, True])
def test_a_journal_is_not_written_over(journal: Path, tmp_path: Path, linked: bool) -> None:
    before, target = journal.read_bytes(), journal
    if linked:
        target = tmp_path / "t.json"
        target.symlink_to(journal)
    exported = run("export", journal, target, "--format", "json")
    saved = RUNNER.invoke(app, ["show", str(journal), "--save", str(target)])
    assert "is the journal itself, which it would overwrite" in " ".join(exported.stderr.split())
    assert "is the journal itself" in " ".join(saved.stderr.split()) + str(saved.exception)
    assert exported.exit_code == saved.exit_code == 1
    assert journal.read_bytes() == before


def test_another_format_is_refused(journal: Path, tmp_path: Path) -> None:
    result = run("export", journal, tmp_path / "t.xlsx")
    assert result.exit_code == 1
    assert "is written as csv or json or parquet, not as 'xlsx'" in result.stderr
