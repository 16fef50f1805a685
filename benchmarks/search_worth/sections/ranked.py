"""What the rows of the ranking have: networks trained alone, paths, and how their orders agree."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from statistics import mean
from typing import Any

from benchmarks.search_worth.parts.ranking import NORMS, SPREAD, alone_name, names_of, paths_name
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.sections.noise import FEWEST
from benchmarks.search_worth.statistics import Interval, rank_correlations
from benchmarks.search_worth.study import Problem

BARS = {"over the cost range": 0.8, "at nearly equal cost": 0.5}
PQ = Mapping[str, float]
"""Of architectures, by their names."""


def trained_alone(problem: Problem, rows: Rows, split: str = "val") -> list[dict[str, float]]:
    """Return the PQ on a split of what has been trained alone, for each seed."""
    return [{name: row[split] for name, row in _rows_of(problem, seed, rows)} for seed in range(problem.alone_seeds)]


def by_category(problem: Problem, rows: Rows) -> list[dict[str, dict[str, float]]]:
    """Return the PQ of each category on val of what has been trained alone, for each seed."""
    return [
        {name: row["by_category"] for name, row in _rows_of(problem, seed, rows) if "by_category" in row}
        for seed in range(problem.alone_seeds)
    ]


def gflops_of(problem: Problem, rows: Rows) -> dict[str, float]:
    """Return what each architecture costs that has been trained alone with any seed."""
    return {name: row["gflops"] for seed in range(problem.alone_seeds) for name, row in _rows_of(problem, seed, rows)}


def groups_of(problem: Problem) -> dict[str, list[str]]:
    """Return the names of architectures that are ranked among each other, as `BARS` calls them."""
    spread = [name for name in names_of(problem) if name.startswith(SPREAD)]
    equal = [name for name in names_of(problem) if not name.startswith(SPREAD)]
    return dict(zip(BARS, (spread, equal), strict=True)) if equal else {next(iter(BARS)): spread}


def paths_of(problem: Problem, rows: Rows, recipes: Collection[str]) -> dict[str, PQ]:
    """Return the PQ on nas_val of the paths of supernets by some recipes, with each kind of batch norms."""
    found = {}
    for recipe in recipes:
        for norms, recalibrated in NORMS.items():
            row = rows.get(paths_name(problem, recipe, norms))
            if row is not None:
                found[f"{row['recipe']}, {'recalibrated' if recalibrated else 'shared norms'}"] = row["pq"]
    return found


def truth_of(alone: Sequence[PQ]) -> dict[str, float]:
    """Return each architecture's PQ, the mean of the seeds with which it has been trained."""
    names = list(dict.fromkeys(name for one in alone for name in one))
    return {name: mean(one[name] for one in alone if name in one) for name in names}


def shared_names(alone: Sequence[PQ], among: Collection[str]) -> list[str]:
    """Return which of some architectures have been trained with every seed."""
    return [name for name in among if all(name in one for one in alone)]


def compared(a: PQ, b: PQ, among: Collection[str]) -> dict[str, Interval] | None:
    """Return the rank correlations of what both sides have among some names; None where those are too few, or equal."""
    names = [name for name in among if name in a and name in b]
    if len(names) < FEWEST or any(len({one[name] for name in names}) == 1 for one in (a, b)):
        return None
    return rank_correlations([a[name] for name in names], [b[name] for name in names])


def best_taus(problem: Problem, rows: Rows, recipes: Collection[str]) -> dict[str, tuple[str, Interval]]:
    """Return for each group the supernet by some recipes with the largest tau to the trainings alone, and that tau."""
    truth, found = truth_of(trained_alone(problem, rows)), {}
    for where, names in groups_of(problem).items():
        known = {title: compared(pq, truth, names) for title, pq in paths_of(problem, rows, recipes).items()}
        taus = {title: one["tau"] for title, one in known.items() if one is not None}
        if taus:
            found[where] = max(taus.items(), key=lambda item: item[1][0])
    return found


def _rows_of(problem: Problem, seed: int, rows: Rows) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in names_of(problem):
        row = rows.get(alone_name(problem, seed, name))
        if row is not None:
            yield name, row
