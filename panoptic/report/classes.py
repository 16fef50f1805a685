"""What the networks are worth on each class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from autopanoptic.panoptic.data.categories import Category
from autopanoptic.panoptic.report.blocks import Block, Cell, Lacking, Section, Table
from autopanoptic.panoptic.report.run import Run


def classes_section(run: Run) -> Section:
    """Return panoptic quality class by class."""
    return Section("classes", "Quality by class", list(_blocks(run)))


def _blocks(run: Run) -> Iterator[Block]:
    if run.metrics is None:
        yield Lacking("The quality of each class is known when a network is measured, by evaluate or by the whole run.")
        return
    qualities = {name: one["quality"]["per_category"] for name, one in run.networks.items()}
    for kind, categories in (("Things", run.categories.things), ("Stuff", run.categories.stuff)):
        if categories:
            yield _table(kind, categories, qualities)


def _table(kind: str, categories: tuple[Category, ...], qualities: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return the classes of a kind, best first by the first network; those that were not seen stand last."""
    first, *others = qualities
    own = qualities[first]
    ordered = sorted(categories, key=lambda category: -_value(own, category, "pq"))
    rows = []
    for category in ordered:
        counts = own.get(str(category.id), {})
        values = [Cell(_percent(own, category, key)) for key in ("pq", "sq", "rq")]
        rest = [Cell(_percent(qualities[name], category, "pq")) for name in others]
        rows.append((category.name, [Cell(str(counts.get("tp", 0) + counts.get("fn", 0))), *values, *rest]))
    columns = ("class", "segments", *(f"{first} {key}" for key in ("PQ", "SQ", "RQ")))
    columns += tuple(f"{name} PQ" for name in others)
    return Table(f"{kind} on val, in percent, best first; segments are those of the truth", columns, rows)


def _value(quality: Mapping[str, Any], category: Category, key: str) -> float:
    value = quality.get(str(category.id), {}).get(key)
    return -1.0 if value is None else float(value)


def _percent(quality: Mapping[str, Any], category: Category, key: str) -> str:
    value = _value(quality, category, key)
    return "-" if value < 0 else f"{100 * value:.1f}"
