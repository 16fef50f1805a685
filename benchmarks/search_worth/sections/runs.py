"""Whole runs of the main job, as the study had them: how long their parts took, and where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.search_worth.parts.shipped import run_name, seeds_of
from benchmarks.search_worth.parts.worth import row_name
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.study import Study


@dataclass(frozen=True)
class Runs:
    """Some runs of one config.

    Attributes:
        title: Which config it was.
        rows: Of the runs.
    """

    title: str
    rows: Sequence[Mapping[str, Any]]


def runs_of(study: Study, rows: Rows) -> list[Runs]:
    """Return the runs with the config as it ships, and those with it as it was when the study began."""
    names = {
        "as the config ships": [run_name(study, seed) for seed in seeds_of(study)],
        "as the config was when the study began": [row_name(study.elastic, seed, "run") for seed in study.seeds],
    }
    found = [Runs(title, [row for row in map(rows.get, of) if row is not None]) for title, of in names.items()]
    return [one for one in found if one.rows]


def machines_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say on what some rows were made."""
    kinds = Counter(_machine(row) for row in rows)
    if len(kinds) == 1:
        return next(iter(kinds))
    return ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common())


def _machine(row: Mapping[str, Any]) -> str:
    machine = row.get("machine")
    return "a machine that is not known" if machine is None else f"{machine['cores']} cores of {machine['cpu']}"
