"""The benchmark of budgets: what it counts, and that the guide's figures are those that were measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.budgets.contestants import Run, contestants
from benchmarks.budgets.curves import FULL, Curves, made_up, of_table
from benchmarks.budgets.measure import measured, rows_of
from benchmarks.budgets.page import BEGIN, END, write_figures
from tests.tables import published

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "budgets"
GUIDE = ROOT / "docs" / "guide" / "budgets.md"


def test_the_guide_has_the_figures_that_were_measured(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"Before.\n{BEGIN}\nold figures\n{END}\nAfter.\n")
    write_figures(RESULTS, page)
    written = page.read_text().removeprefix("Before.\n").removesuffix("\nAfter.\n")
    assert written in GUIDE.read_text()
    assert "old" not in written
    assert written.count("\n| ") == 9


@pytest.mark.parametrize("contestant", ["random search, in full", "ASHA", "Hyperband, regularized evolution"])
def test_the_figures_are_those_of_the_present_code(contestant: str) -> None:
    curves = of_table(published("nasbench201.npz"))
    found = json.loads((RESULTS / "nasbench201.json").read_text())
    limit = found["full"] * FULL
    for seed, known in enumerate(found["contestants"][contestant][:2]):
        run = contestants()[contestant](curves, limit, seed)
        assert (run.epochs_to(found["target"], limit), run.best, run.begun) == tuple(known.values())


def test_rows_are_means_over_the_seeds_by_hand() -> None:
    ends = {"first": [(2000, 90.0), (4000, 94.0)], "other": [(1000, 93.0), (1000, 91.0)]}

    def contestant(name: str, curves: Curves, epochs: int, seed: int) -> Run:
        run = Run(epochs, begun=seed + 1)
        run.full.append(ends[name][seed])
        return run

    everybody = {name: lambda *given, name=name: contestant(name, *given) for name in ends}
    found = measured(made_up(), everybody, full=40, seeds=2)
    assert (found["target"], found["full"], found["seeds"]) == (92.0, 40, 2)
    first, other = rows_of(found)
    assert (first.epochs_to_target, first.reached, first.ratio, first.best, first.begun) == (6000, 0.5, 1, 92.0, 1.5)
    assert (other.epochs_to_target, other.reached, other.ratio, other.best) == (4500, 0.5, 6000 / 4500, 92.0)


def test_everybody_spends_the_epochs_without_a_table() -> None:
    for name, contestant in contestants().items():
        run = contestant(made_up(), 3 * FULL, 0)
        assert 3 * FULL <= run.epochs < 4 * FULL, name
        assert run.begun >= 3, name


def test_a_page_without_a_place_for_the_figures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("no comments")
    with pytest.raises(ValueError, match="needs the lines"):
        write_figures(RESULTS, tmp_path / "page.md")
