"""What the search costs, and what makes it cheaper."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean
from typing import Any

from benchmarks.search_worth.price import FRONT, RACED, STRATEGIES, TABLE, search_name
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.sections.text import effect, p_of, paragraph, table
from benchmarks.search_worth.statistics import paired
from benchmarks.search_worth.study import Study
from benchmarks.search_worth.worth import row_name

TIMES = 5.0
"""The bar of racing: so many times fewer images."""
Row = dict[str, Any]


def section(study: Study, rows: Rows) -> Iterator[str]:
    """Yield the section's parts."""
    yield from _stages(study, rows)
    yield from _racing(study, rows)
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


def races(study: Study, rows: Rows) -> list[tuple[Row, Row]]:
    """Return the searches with racing, each beside the same one without."""
    pairs = [
        (rows.get(search_name(RACED, seed)), rows.get(search_name(FRONT, seed))) for seed in range(study.racing_seeds)
    ]
    return [(raced, whole) for raced, whole in pairs if raced is not None and whole is not None]


def _racing(study: Study, rows: Rows) -> Iterator[str]:
    found = races(study, rows)
    if not found:
        return
    times = [whole["measured"] / raced["measured"] for raced, whole in found]
    same = [raced["answer"]["id"] == whole["answer"]["id"] for raced, whole in found]
    held = sum(one >= TIMES and two for one, two in zip(times, same, strict=True))
    yield "### Racing\n"
    yield paragraph(
        "The search for a front with the rule that gives candidates up and without it. Measured is the share of the "
        "candidates' images of nas_val:"
    )
    lines = [
        [str(raced["seed"]), f"{raced['measured']:.2f}", f"{whole['measured']:.2f}", f"{much:.1f}",
         "yes" if equal else "no", f"{raced['answer']['val'] - whole['answer']['val']:+.1f}"]
        for (raced, whole), much, equal in zip(found, times, same, strict=True)
    ]  # fmt: skip
    yield table(["seed", "measured, racing", "without", "times fewer", "same answer", "answer on val, minus"], lines)
    enough = len(found) >= study.racing_seeds
    bar = "reached" if held >= 0.8 * study.racing_seeds else "missed" if enough else "open"
    yield paragraph(
        f"Racing is {TIMES:.0f} times cheaper at the same answer in {held} of {len(found)} searches: the bar, 8 in 10, "
        f"is {bar}."
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
        f"{found['making']:.1f} s and then takes {1e3 * found['looking_up']:.2f} ms for each, "
        f"{found['counting'] / found['looking_up']:.0f} times less; the largest relative error is "
        f"{found['largest_error']:.1g}."
    )
