from __future__ import annotations

import logging
from pathlib import Path

import pytest

from autopanoptic.nas import Architecture, Choice, RandomSearch, RegularizedEvolution, Search, SearchSpace, warm_start

OLD = SearchSpace([Choice("a", range(6)), Choice("b", range(6)), Choice("gone", ["x", "y"])])
NEW = SearchSpace([Choice("a", range(5)), Choice("b", range(6))])


def value(architecture: Architecture) -> float:
    return float(10 * int(architecture["a"]) + int(architecture["b"]))


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    Search(OLD, RandomSearch(), value, journal=tmp_path / "old.jsonl").run(60)
    return tmp_path / "old.jsonl"


def test_best_come_first_and_are_tried_first(journal: Path) -> None:
    initial = warm_start(journal, OLD, 3)
    best = Search(OLD, RandomSearch(), value, journal=journal).result().history.ranked()
    assert initial == [trial.architecture for trial in best[:3]]
    result = Search(OLD, RegularizedEvolution(10, 3), value, initial=initial, seed=1).run(12)
    assert [trial.architecture for trial in result.history][:3] == initial


def test_other_space(journal: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        initial = warm_start(journal, NEW, 4)
    assert len(initial) == 4
    assert all(architecture in NEW for architecture in initial)
    assert initial[0]["a"] == 4, "trials with the option 5, which the new space lacks, are better but do not fit"
    assert "do not fit the space and were skipped: Choice 'a' has no option 5" in caplog.text


def test_the_first_come_in_their_order(journal: Path) -> None:
    history = Search(OLD, RandomSearch(), value, journal=journal).result().history
    assert warm_start(journal, OLD, 5, in_order=True) == [trial.architecture for trial in history][:5]
    with pytest.raises(ValueError, match=r"None of the 60 .* The first: .* lacks choice 'c'"):
        warm_start(journal, SearchSpace([Choice("c", [1, 2])]), in_order=True)


def test_nothing_fits(journal: Path) -> None:
    with pytest.raises(ValueError, match=r"None of the 60 completed trials of .* fits .* lacks choice 'c'"):
        warm_start(journal, SearchSpace([Choice("c", [1, 2])]))


def test_bad_input(journal: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="count of at least 1, not 0"):
        warm_start(journal, OLD, 0)
    with pytest.raises(ValueError, match="whole count of at least 1, not nan"):
        warm_start(journal, OLD, float("nan"))  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match=r"There is no journal .*none.jsonl"):
        warm_start(tmp_path / "none.jsonl", OLD)
