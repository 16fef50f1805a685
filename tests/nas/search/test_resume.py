"""A journal knows its search again, across releases."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autopanoptic.nas import (
    Architecture,
    Choice,
    Evolution,
    History,
    JournalError,
    RandomSearch,
    Result,
    Search,
    SearchSpace,
    Strategy,
    SuccessiveHalving,
    warm_start,
)
from autopanoptic.nas.journals.repairing import repair

SPACE = SearchSpace([Choice("a", range(9)), Choice("b", range(9))])


def value(architecture: Architecture) -> float:
    return float(sum(int(option) for option in architecture.values()))


def header(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text().splitlines()[0])
    return found


def rewrite(path: Path, **changes: Any) -> None:
    first, *rest = path.read_text().splitlines(keepends=True)
    path.write_text(json.dumps({**json.loads(first), **changes}) + "\n" + "".join(rest))


def test_a_warm_start_from_a_search_that_goes_on_resumes(tmp_path: Path) -> None:
    other = Search(SPACE, RandomSearch(), value, journal=tmp_path / "other")
    other.run(10)

    def make() -> Search:
        initial = warm_start(tmp_path / "other", SPACE, 4)
        return Search(SPACE, RandomSearch(), value, initial=initial, seed=1, journal=tmp_path / "j")

    first = make()
    first.run(2)
    other.run(60)
    again = make()
    assert again.initial == first.initial
    again.run(6)
    assert [trial.architecture for trial in again.history][:4] == first.initial


@dataclass(frozen=True)
class Old(Strategy):
    rate: float = 0.5

    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture:
        return space.sample(rng)


@dataclass(frozen=True)
class New(Old):
    window: int = 3
    width: int | None = None

    def __post_init__(self) -> None:
        if self.width is None:  # a default that follows from another parameter
            object.__setattr__(self, "width", int(10 * self.rate))

    def __repr__(self) -> str:
        return f"Old(rate={self.rate}, window={self.window}, width={self.width})"


@pytest.mark.parametrize(
    ("new", "fits"),
    [
        (New(0.5), True),
        (New(0.5, 3, 5), True),
        (New(0.5, 4), False),
        (New(0.5, 3, 6), False),
        (New(0.6), False),
        (RandomSearch(), False),
    ],
)
def test_parameters_that_a_journal_does_not_know_may_have_their_default(
    tmp_path: Path, new: Strategy, fits: bool
) -> None:
    Search(SPACE, Old(0.5), value, journal=tmp_path / "j").run(3)
    if fits:
        assert len(Search(SPACE, new, value, journal=tmp_path / "j").run(5).history) == 5
        return
    with pytest.raises(JournalError, match="its strategy is 'Old"):
        Search(SPACE, new, value, journal=tmp_path / "j")


def test_the_librarys_own_strategies_and_stoppers_do_as_well(tmp_path: Path) -> None:
    def make(population: int = 8, reduction: int = 3) -> Search:
        stopper = SuccessiveHalving(reduction=reduction)
        return Search(SPACE, Evolution(population), value, stopper=stopper, journal=tmp_path / "j")

    make().run(3)
    rewrite(tmp_path / "j", strategy="Evolution(population=8)", stopper="SuccessiveHalving(min_step=1)")
    make().run(4)
    with pytest.raises(JournalError, match="its strategy is"):
        make(population=9)
    with pytest.raises(JournalError, match="its stopper is"):
        make(reduction=2)


def test_a_parameter_that_is_gone_makes_a_journal_foreign(tmp_path: Path) -> None:
    Search(SPACE, Old(), value, journal=tmp_path / "j").run(3)
    rewrite(tmp_path / "j", strategy="Old(rate=0.5, gone=1)")
    with pytest.raises(JournalError, match="its strategy is"):
        Search(SPACE, Old(), value, journal=tmp_path / "j")


def test_the_header_tells_the_release_and_may_be_of_another(tmp_path: Path) -> None:
    Search(SPACE, RandomSearch(), value, journal=tmp_path / "j").run(3)
    assert header(tmp_path / "j")["version"] == version("autopanoptic")
    rewrite(tmp_path / "j", version="0.0.1")
    assert len(Search(SPACE, RandomSearch(), value, journal=tmp_path / "j").run(5).history) == 5


@pytest.mark.parametrize("found", [3, 1, None, "2"])
def test_a_format_that_is_not_known_is_refused_by_the_release_that_wrote_it(tmp_path: Path, found: Any) -> None:
    Search(SPACE, RandomSearch(), value, journal=tmp_path / "j").run(3)
    rewrite(tmp_path / "j", version="9.9", format=found)
    with pytest.raises(JournalError, match=rf"has format {found!r} and was written by release 9\.9"):
        Search(SPACE, RandomSearch(), value, journal=tmp_path / "j")
    with pytest.raises(JournalError, match=r"release 9\.9"):
        Result.from_journal(tmp_path / "j")


def test_what_remains_of_initial_is_what_a_repaired_journal_has_not(tmp_path: Path) -> None:
    path = tmp_path / "j"
    first = list(SPACE)[:3]
    make = partial(Search, SPACE, RandomSearch(), value, initial=first)
    make(journal=path).run(2)
    lines = path.read_bytes().splitlines(keepends=True)
    lost = next(index for index, line in enumerate(lines) if b'"asked"' in line)
    path.write_bytes(b"".join([*lines[:lost], b"damaged\n", *lines[lost + 1 :]]))
    repair(path, tmp_path / "mended")
    again = make(journal=tmp_path / "mended")
    assert [trial.architecture for trial in again.history] == [first[1]]
    again.run(5)
    assert [trial.architecture for trial in again.history][:3] == [first[1], first[0], first[2]]
    assert len({trial.architecture for trial in again.history}) == 5
