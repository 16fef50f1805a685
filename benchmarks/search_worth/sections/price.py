"""What the search costs, and what makes it cheaper."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean
from typing import Any

from benchmarks.search_worth.parts.price import FRONT, STRATEGIES, TABLE, search_name
from benchmarks.search_worth.parts.worth import row_name
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.sections import racing
from benchmarks.search_worth.sections.text import effect, p_of, paragraph, table
from benchmarks.search_worth.statistics import paired
from benchmarks.search_worth.study import Study

Row = dict[str, Any]


def section(study: Study, rows: Rows) -> Iterator[str]:
    """Yield the section's parts."""
    yield from _stages(study, rows)
    yield from racing.section(study, rows)
    yield from _strategies(study, rows)
    yield from _table(rows)


def _stages(study: Study, rows: Rows) -> Iterator[str]:
    names = [row_name(study.elastic, seed, "run") for seed in study.seeds]
    found = [row["stages"] for row in map(rows.get, names) if row is not None]
    if not found:
        return
    stages = list(dict.fromkeys(stage for one in found for stage in one))
    yield "### The parts of a run\n"
    yield paragraph(
        f"Seconds by the clock of {len(found)} runs of the main job; the search has as many random draws in it, the "
        "retraining the networks that are compared:"
    )
    yield table(
        ["part", "mean", "least", "most"],
        ([stage, *(f"{of([one[stage] for one in found]):.0f}" for of in (mean, min, max))] for stage in stages),
    )


def _strategies(study: Study, rows: Rows) -> Iterator[str]:
    seeds = range(study.strategy_seeds)
    of = {
        kind: {seed: row for seed in seeds if (row := rows.get(search_name(kind, seed))) is not None}
        for kind in (*STRATEGIES, FRONT)
    }
    if not any(of.values()):
        return
    yield "### Strategies, and a front beside a single answer\n"
    yield paragraph(
        "Each strategy's answer within the middle budget after equally many candidates of one supernet, of the same "
        f"images; {FRONT} searches a whole front, of which the best within the budget is taken, and begins with the "
        "hand-made family. PQ in percent, the differences on val paired by the seeds of the searches:"
    )
    yield table(["strategy", "seeds", "PQ on nas_val", "PQ on val", "minus random", "p", "seconds"], _compared(of))


def _compared(of: dict[str, dict[int, Row]]) -> Iterator[list[str]]:
    for kind, found in of.items():
        if not found:
            continue
        means = [f"{mean(row['answer'][split] for row in found.values()):.1f}" for split in ("nas_val", "val")]
        both = [seed for seed in found if seed in of["random"]]
        minus = None
        if kind != "random" and both:
            minus = paired([found[seed]["answer"]["val"] - of["random"][seed]["answer"]["val"] for seed in both])
        seconds = f"{mean(row['seconds'] for row in found.values()):.0f}"
        yield [kind, str(len(found)), *means, effect(minus), p_of(minus), seconds]


def _table(rows: Rows) -> Iterator[str]:
    found = rows.get(TABLE)
    if found is None:
        return
    yield "### The cost table\n"
    yield paragraph(
        f"Counting an architecture's operations takes {1e3 * found['counting']:.0f} ms. The table is made in "
        f"{found['making']:.1f} s. The first {found['looked_up']} architectures then take "
        f"{1e3 * found['early']:.2f} ms each on average, with the passes that they are the first to need, and as many "
        f"others after them {1e3 * found['looking_up']:.2f} ms, {found['counting'] / found['looking_up']:.0f} times "
        "less than a count; the largest relative error is "
        f"{found['largest_error']:.1g}."
    )
