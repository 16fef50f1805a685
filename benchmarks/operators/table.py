"""The results as a table, for a terminal and for the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

Entry = Mapping[str, Any]


def header(found: Mapping[str, Any]) -> list[str]:
    """Return the columns' names."""
    return ["network", "GFLOPs", *(f"PQ at {read}" for read in _reads(found)), "difference", "at equal cost"]


def rows(found: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yield the cells of each network."""
    reads = _reads(found)
    for name, entry in found["networks"].items():
        means = [sum(entry["pq"][read]) / len(entry["pq"][read]) for read in reads]
        differences = [_difference(entry[key].get(reads[-1])) for key in ("difference", "at_equal_cost")]
        yield [name, f"{entry['gflops']:.3f}", *(f"{mean:.1f}" for mean in means), *differences]


def table(found: Mapping[str, Any]) -> Table:
    """Return the table for a terminal."""
    shown = Table(title=f"{found['passes']} passes, mean of {len(found['seeds'])} seeds; ! more than 2 standard errors")
    for number, name in enumerate(header(found)):
        shown.add_column(name, justify="left" if number == 0 else "right")
    for cells in rows(found):
        shown.add_row(*cells)
    return shown


def differing(found: Mapping[str, Any]) -> list[str]:
    """Return the networks that differ from the hand-made one, in PQ or in PQ at equal cost."""
    last = _reads(found)[-1]
    return [
        name
        for name, entry in found["networks"].items()
        if any(entry[key].get(last, {}).get("differs") for key in ("difference", "at_equal_cost"))
    ]


def _reads(found: Mapping[str, Any]) -> list[str]:
    return list(next(iter(found["networks"].values()))["pq"])


def _difference(estimate: Mapping[str, Any] | None) -> str:
    if estimate is None:
        return ""
    error = "?" if estimate["error"] is None else f"{estimate['error']:.1f}"
    return f"{estimate['value']:+.1f} ± {error}{' !' if estimate['differs'] else ''}"
