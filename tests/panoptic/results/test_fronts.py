"""The fronts of a run: whom they hold, the budget, what is said of them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from autopanoptic.nas import Architecture, Choice, RandomSearch, Result, Search, SearchSpace
from autopanoptic.panoptic.results import fronts as module
from autopanoptic.panoptic.results.fronts import FRONT, HAND_MADE, RANDOM, SEARCHED, Fronts

SPACE = SearchSpace([Choice("id", range(100))])


def a_result(points: Sequence[tuple[float, float]], first: int = 0) -> Result:
    """A search whose n-th trial has the n-th cost and value."""
    return measured({first + number: point for number, point in enumerate(points)})


def measured(points: Mapping[int, tuple[float, float]]) -> Result:
    given = {Architecture({"id": number}): point for number, point in points.items()}
    search = Search(
        SPACE,
        RandomSearch(),
        lambda architecture: {"pq": given[architecture][1], "pq_standard_error": 0.5},
        objectives={"pq": "max", "gflops": "min"},
        costs={"gflops": lambda architecture: given[architecture][0]},
        initial=list(given),
    )
    return search.run(len(given), progress=False)


SEARCHES = {
    "searched": a_result([(0.30, 78.0), (0.10, 70.0), (0.12, 69.0), (0.21, 76.0), (0.10, 60.0)]),
    "drawn": a_result([(0.25, 75.0), (0.15, 71.0)], first=10),
    "family": a_result([(0.20, 74.0), (0.10, 68.0), (0.40, 73.0)], first=20),
}


@pytest.fixture
def fronts() -> Fronts:
    return Fronts.of(**SEARCHES, images=400)


def test_what_is_dominated_is_left_out_but_for_the_family(fronts: Fronts) -> None:
    found = {name: [(point.cost, point.value) for point in points] for name, points in fronts.series.items()}
    assert found == {
        SEARCHED: [(0.10, 70.0), (0.21, 76.0), (0.30, 78.0)],
        HAND_MADE: [(0.10, 68.0), (0.20, 74.0), (0.40, 73.0)],
        RANDOM: [(0.15, 71.0), (0.25, 75.0)],
    }
    assert fronts.series[SEARCHED][1].architecture == Architecture({"id": 3})
    assert fronts.series[SEARCHED][1].error == 0.5


def test_the_budget_is_the_cost_of_the_member_nearest_to_the_geometric_middle_and_no_quality_moves_it(
    fronts: Fronts,
) -> None:
    assert fronts.budget == 0.20
    others = {**SEARCHES, "family": a_result([(0.20, 1.0), (0.10, 2.0), (0.40, 3.0)])}
    assert Fronts.of(**others, images=400).budget == 0.20
    assert Fronts.of(**{**SEARCHES, "family": a_result([(3.0, 1), (1.0, 1), (2.0, 1), (4.0, 1)])}, images=1).budget == 2
    assert Fronts.of(**SEARCHES, images=400, limit=0.3).budget == 0.3


def test_each_offers_the_best_within_the_budget(fronts: Fronts) -> None:
    assert {name: (fronts.chosen(name).cost, fronts.chosen(name).value) for name in fronts.series} == {
        SEARCHED: (0.10, 70.0), HAND_MADE: (0.20, 74.0), RANDOM: (0.15, 71.0)
    }  # fmt: skip
    # By hand one scales up to the budget, without a look at what that is worth.
    wide = Fronts.of(**SEARCHES, images=400, limit=0.5)
    assert (wide.chosen(HAND_MADE).cost, wide.chosen(SEARCHED).cost) == (0.40, 0.30)
    assert wide.best(HAND_MADE) == wide.series[HAND_MADE][1]
    # A sum of costs may come out in another order.
    assert fronts.best(HAND_MADE, 0.2 * (1 - 1e-12)) == fronts.series[HAND_MADE][1]
    tight = Fronts.of(**SEARCHES, images=400, limit=0.01)
    assert all(tight.chosen(name) == tight.series[name][0] for name in tight.series)
    assert tight.budget_line().endswith("searched and hand-made and random cannot keep it and take the cheapest.")


def test_the_table_fits_a_terminal_and_says_who_is_above(fronts: Fronts) -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(fronts.table())
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in text
    rows = [line.split() for line in text.splitlines() if line.strip().startswith("0.")]
    assert rows == [
        ["0.1", "70.0", "±", "0.5", "(0.1)", "68.0", "±", "0.5", "(0.1)", "-"],
        ["0.2", "70.0", "±", "0.5", "(0.1)", "74.0", "±", "0.5", "(0.2)", "71.0", "±", "0.5", "(0.15)"],
        ["0.4", "78.0", "±", "0.5", "(0.3)", "74.0", "±", "0.5", "(0.2)", "75.0", "±", "0.5", "(0.25)"],
    ]
    assert fronts.summary() == (
        "On nas_val the searched front lies above the hand-made one at 1 of 2 and above the random one at 2 of 3 "
        "budgets with another network of its, by more than a standard error."
    )
    assert fronts.budget_line() == "At 0.2 GFLOPs one network of each is trained further."
    assert fronts.budget_line(3) == (
        "At 0.2 GFLOPs 3 finalists of the search and one network of each of the others are trained further."
    )


def test_less_than_a_standard_error_is_not_above(fronts: Fronts) -> None:
    close = {1: (9.9, 68.4), 0: (9.9, 77.0), 21: (9.9, 68.0), 20: (9.9, 76.6), 11: (9.9, 60.0), 10: (9.9, 76.4)}
    found = fronts.with_val(measured(close))
    assert "hand-made one at 0 of 2 and above the random one at 3 of 3" in found.summary()
    # 68.4 beside 68.0 and beside 76.6, with errors of 0.5.
    assert [found.above(HAND_MADE, errors) for errors in (0, 0.79, 0.81, 1)] == [1, 1, 0, 0]


def test_a_budget_at_which_the_other_front_does_not_rise_is_no_comparison_of_its_own(fronts: Fronts) -> None:
    assert fronts.budgets() == [0.10, 0.20, 0.40]
    assert fronts.compared_at(HAND_MADE) == [0.10, 0.20]  # the network of 0.40 is worse than that of 0.20
    assert fronts.compared_at(RANDOM) == [0.10, 0.20, 0.40]  # none within 0.10
    nothing = Fronts.of(**{**SEARCHES, "drawn": a_result([(0.9, 99.0)])}, images=1)
    assert nothing.compared_at(RANDOM) == [0.10]


def test_what_was_chosen_by_luck_shows_on_val(fronts: Fronts) -> None:
    assert [architecture["id"] for architecture in fronts.offered()] == [1, 0, 21, 20, 11, 10]
    lucky = {1: (9.9, 67.0), 0: (9.9, 77.0), 21: (9.9, 68.0), 20: (9.9, 73.0), 11: (9.9, 70.0), 10: (9.9, 74.0)}
    found = fronts.with_val(measured(lucky))
    console = Console(file=io.StringIO(), width=80)
    console.print(found.table("val"))
    rows = [line.split() for line in console.file.getvalue().splitlines() if line.strip().startswith("0.")]  # type: ignore[attr-defined]
    # The same networks at the same costs, with other qualities.
    assert rows[0] == ["0.1", "67.0", "±", "0.5", "(0.1)", "68.0", "±", "0.5", "(0.1)", "-"]
    assert rows[1][1:9] == ["67.0", "±", "0.5", "(0.1)", "73.0", "±", "0.5", "(0.2)"]
    assert found.summary() == (
        "On val the searched front lies above the hand-made one at 0 of 2 and above the random one at 2 of 3 "
        "budgets with another network of its, by more than a standard error."
    )
    assert Fronts.from_json(found.to_json()) == found
    assert found.series == fronts.series


def test_a_large_family_is_shown_in_five_rows() -> None:
    many = a_result([(number / 10, 50.0 + number) for number in range(1, 12)])
    budgets = Fronts.of(**{**SEARCHES, "family": many}, images=1).budgets()
    assert len(budgets) == 5
    assert (budgets[0], budgets[-1]) == (0.1, 1.1)


def test_what_lies_below_the_familys_front_is_drawn_without_its_line(
    fronts: Fronts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, Any] = {}
    monkeypatch.setattr(module, "draw_fronts", lambda series, path, **rest: drawn.update(rest, series=series))
    fronts.draw(tmp_path / "front.png", SEARCHES["searched"])
    assert drawn["series"][HAND_MADE].costs == [0.10, 0.20]
    assert {name: rest.costs for name, rest in drawn["below"].items()} == {HAND_MADE: [0.40]}
    assert drawn["series"][SEARCHED].costs == [0.10, 0.21, 0.30]


def test_fronts_are_saved_and_drawn(fronts: Fronts, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="searched without a cost"):
        Fronts.load(tmp_path)
    fronts.save(tmp_path)
    assert Fronts.load(tmp_path) == fronts
    assert json.loads((tmp_path / FRONT).read_text())["series"]["random"][0] == {
        "architecture": {"id": 11}, "cost": 0.15, "value": 71.0, "standard_error": 0.5
    }  # fmt: skip
    fronts.draw(tmp_path / "front.png", SEARCHES["searched"])
    with Image.open(tmp_path / "front.png") as picture:
        assert (picture.format, picture.width) == ("PNG", 700)
    (tmp_path / FRONT).write_text('{"objective": "pq"}')
    with pytest.raises(ValueError, match=r"front\.json is damaged: KeyError"):
        Fronts.load(tmp_path)
