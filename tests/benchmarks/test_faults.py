"""The page of faults survived, and the benchmark of a large journal."""

from __future__ import annotations

import json
import random
import runpy
import sys
from pathlib import Path

import pytest

from benchmarks.faults.count import Count
from benchmarks.faults.mutations import mutated
from benchmarks.faults.page import write_page

ROOT = Path(__file__).parents[2]
SIZE = ROOT / "benchmarks" / "results" / "journal_size.json"


def test_the_page_is_that_of_the_counts(tmp_path: Path) -> None:
    write_page(ROOT / "benchmarks" / "results" / "faults", SIZE, tmp_path / "page.md")
    assert (tmp_path / "page.md").read_text() == (ROOT / "docs" / "reliability.md").read_text()


def test_a_count_is_a_row_that_hides_nothing(tmp_path: Path) -> None:
    Count("a fault", "it holds", 1200, 1199).save(tmp_path / "counts" / "a.json")
    write_page(tmp_path / "counts", SIZE, tmp_path / "page.md")
    assert "| a fault | 1,200 | 1,199 | it holds |" in (tmp_path / "page.md").read_text()
    with pytest.raises(ValueError, match="no counts"):
        write_page(tmp_path, SIZE, tmp_path / "page.md")


def test_the_large_journal_keeps_to_its_bar_of_memory_and_is_read_once() -> None:
    found = json.loads(SIZE.read_text())
    assert (found["trials"], found["choices"]) == (100_000, 49)
    assert all(each["megabytes"] < 400 for each in found["opened"])
    # Modules that are imported by then, and nothing of the journal.
    assert found["opened"][1]["bytes_read_by_appends"] < found["megabytes"] * 2**20 / 100


def test_mutations_are_many_and_the_same_again() -> None:
    good = b'{"event": "asked", "trial": 1, "architecture": {"a": 1}}\n' * 4
    found = [mutated(good, random.Random(seed)) for seed in range(200)]
    assert found == [mutated(good, random.Random(seed)) for seed in range(200)]
    assert len(set(found)) > 150


def test_journal_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--trials", "40", "--choices", "5", "--json", str(tmp_path / "size.json")]
    monkeypatch.setattr(sys, "argv", ["journal_size.py", *arguments])
    runpy.run_path(str(ROOT / "benchmarks" / "journal_size.py"), run_name="__main__")
    assert "40 trials of 5 choices" in capsys.readouterr().out
    Count("a fault", "it holds", 1, 1).save(tmp_path / "counts" / "a.json")
    write_page(tmp_path / "counts", tmp_path / "size.json", tmp_path / "page.md")
    assert "A journal of 40 trials of 5 choices has 0 MB." in (tmp_path / "page.md").read_text()
    found = json.loads((tmp_path / "size.json").read_text())["opened"]
    assert [(each["opened"], each["trials"]) for each in found] == [("result", 40), ("search", 40)]
    assert all(each["megabytes"] > 0 and each["seconds"] > 0 for each in found)
