"""What is saved by giving candidates up early: racing as planned, what bounds it, and the remedy that was tried."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean
from typing import Any

import numpy as np

from autopanoptic.nas import Racing
from autopanoptic.panoptic.stages.search import TOP_OF_FRONT
from benchmarks.search_worth.parts.price import FRONT, RACED, search_name
from benchmarks.search_worth.parts.replays import (
    CANDIDATES,
    FIRST,
    ORDERS,
    REDUCTION,
    Summary,
    all_knowing,
    at_equal_price,
    halving,
    least_measured,
    racing,
    summary,
    traces_of,
)
from benchmarks.search_worth.parts.traces import BEFORE, CHUNK, TRACES
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.sections.text import paragraph, table
from benchmarks.search_worth.study import Study

TIMES, SAME = 5.0, 0.8
"""The bar: so many times fewer images, at the same answer in such a share of the searches."""
LEAST = 2
"""Chunks before a candidate is given up, where a rule may do so as early as `Racing` can."""
EXPECTED = (
    "Expected before this row, when 77 candidates of the supernet of seed 0 had been replayed, of which successive "
    "halving was the rule that measured less than a fifth and lost least: it measures 0.17 (a sixth), has the best "
    "candidate in 6 of 10 replays, and loses 0.1 PQ of paths on average; racing measures half for one answer and 0.72 "
    "for a front, where the all-knowing rule measures 0.2 and 0.57."
)
Row = dict[str, Any]


def section(study: Study, rows: Rows) -> Iterator[str]:
    """Yield the section's parts."""
    found = races(study, rows)
    if found:
        yield "### Racing\n"
        yield from _raced(study, found)
    row = rows.get(TRACES)
    if row is not None:
        yield "### What bounds racing, and successive halving\n"
        yield from _replayed(row)


def races(study: Study, rows: Rows) -> list[tuple[Row, Row]]:
    """Return the searches with racing, each beside the same one without."""
    pairs = [
        (rows.get(search_name(RACED, seed)), rows.get(search_name(FRONT, seed))) for seed in range(study.racing_seeds)
    ]
    return [(raced, whole) for raced, whole in pairs if raced is not None and whole is not None]


def _raced(study: Study, found: list[tuple[Row, Row]]) -> Iterator[str]:
    times = [whole["measured"] / raced["measured"] for raced, whole in found]
    same = [raced["answer"]["id"] == whole["answer"]["id"] for raced, whole in found]
    held = sum(one >= TIMES and two for one, two in zip(times, same, strict=True))
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
    bar = "reached" if held >= SAME * study.racing_seeds else "missed" if enough else "open"
    yield paragraph(
        f"Racing is {TIMES:.0f} times cheaper at the same answer in {held} of {len(found)} searches: the bar, 8 in 10, "
        f"is {bar}."
    )
    yield from _bounded(found)


def _bounded(found: list[tuple[Row, Row]]) -> Iterator[str]:
    whole = [one for _, one in found]
    least = Racing(steps=whole[0]["chunks"]).min_chunks
    knowing = [least_measured(*np.array(one["candidates"]).T, TOP_OF_FRONT, least / one["chunks"]) for one in whole]
    yield paragraph(
        f"The cause that was looked for: in these searches without racing a rule that knew every candidate's PQ "
        f"beforehand, and gave up after {least} of {whole[0]['chunks']} chunks whatever {TOP_OF_FRONT} candidates "
        f"before it are no dearer and better than, would still measure {mean(knowing):.2f} on average. A search for a "
        "front proposes candidates that lie near it, so that most belong there when they come."
    )


def _replayed(row: Row) -> Iterator[str]:
    traces, least = traces_of(row), Racing(steps=traces_of(row).chunks).min_chunks
    rules = {
        f"racing, a front, {TOP_OF_FRONT} better, from {least} chunks on": racing(TOP_OF_FRONT, least, front=True),
        "the same by a rule that knows all beforehand": all_knowing(TOP_OF_FRONT, least, front=True),
        f"racing, one answer, 1 better, from {LEAST} chunks on": racing(1, LEAST, front=False),
        "the same, knowing all beforehand": all_knowing(1, LEAST, front=False),
        f"successive halving, {FIRST} chunk first, one of {REDUCTION} goes on": halving(),
    }
    found, candidates = {title: summary(traces, rule) for title, rule in rules.items()}, len(traces.pq)
    yield paragraph(
        f"What else could be had? On the supernet of seed {row['seed']} {candidates} random "
        f"candidates within the middle budget were measured to the end, in {traces.chunks} chunks, and each rule was "
        f"replayed on {min(CANDIDATES, candidates)} of them in "
        f"{ORDERS} random orders, beside one that knows every candidate beforehand. Lost is PQ of paths on nas_val."
    )
    yield paragraph(EXPECTED)
    yield table(
        ["rule", "measured", "times fewer", "same answer", "lost"],
        (
            [title, f"{one.measured:.2f}", f"{1 / one.measured:.1f}", f"{100 * one.same:.0f}%", f"{one.lost:.2f}"]
            for title, one in found.items()
        ),
    )
    front, *_, remedy = found.values()
    count, gained = at_equal_price(traces, halving())
    met = remedy.measured <= 1 / TIMES and remedy.same >= SAME
    yield paragraph(
        f"So with the remedy, successive halving, the bar is {'reached' if met else 'missed'}. In seconds a candidate "
        f"takes {row[BEFORE]:.2f} before its first chunk, in which its batch norms are recalibrated, and "
        f"{row[CHUNK]:.2f} for each of the {traces.chunks}, so that racing for a front takes {_times(row, front):.1f} "
        f"times less time and successive halving {_times(row, remedy):.1f} times. At equal price: of all {candidates} "
        f"candidates it measures as many images as {count} take to the end, and what it finds has {gained:+.1f} PQ of "
        "paths beside the best of those."
    )


def _times(row: Row, found: Summary) -> float:
    chunks = row[CHUNK] * len(row["pq"][0])
    return float((row[BEFORE] + chunks) / (row[BEFORE] + found.measured * chunks))
