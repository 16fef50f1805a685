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
    FIRST_CHUNKS,
    ORDERS,
    REDUCTION,
    AtEqualPrice,
    Rule,
    Summary,
    all_knowing,
    at_equal_price,
    halving,
    least_measured,
    racing,
    seconds_of,
    summary,
    sureness,
    traces_of,
)
from benchmarks.search_worth.parts.traces import BEFORE, CHUNK, TRACES
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.sections.text import effect, interval, p_of, paragraph, table
from benchmarks.search_worth.statistics import Interval, Paired, paired
from benchmarks.search_worth.study import Study

TIMES, SAME = 5.0, 0.8
"""The bar: so many times fewer images, at the same answer in such a share of the searches."""
LEAST = 2
"""Chunks before a candidate is given up, where a rule may do so as early as `Racing` can."""
EXPECTED = (
    "Expected before the replays, when 77 candidates of the supernet of seed 0 had been replayed. Successive halving, "
    "which is random search of one answer and no search for a front, measures a sixth; its constants are those that "
    "lost least there among those below a fifth. It has the best candidate in 6 of 10 replays, and loses 0.1 PQ of "
    "paths on average. Racing measures half for one answer and 0.72 for a front, where a rule that knows all measures "
    "0.2 and 0.57."
)
Row = dict[str, Any]


def section(study: Study, rows: Rows) -> Iterator[str]:
    """Yield the section's parts."""
    found, row = races(study, rows), rows.get(TRACES)
    if found:
        yield "### Racing\n"
        yield from _raced(study, found)
        yield from _bounded(found)
    yield "### Racing and successive halving, replayed\n"
    yield paragraph(EXPECTED)
    if row is None:
        yield paragraph("No row is there yet.")
    else:
        yield from _replayed(row)


def races(study: Study, rows: Rows) -> list[tuple[Row, Row]]:
    """Return the searches with racing, each beside the same one without."""
    pairs = [
        (rows.get(search_name(RACED, seed)), rows.get(search_name(FRONT, seed))) for seed in range(study.racing_seeds)
    ]
    return [(raced, whole) for raced, whole in pairs if raced is not None and whole is not None]


def saved_by(found: list[tuple[Row, Row]]) -> tuple[float, Paired]:
    """Return which share of the images racing saves on average, and what its answers have more on val."""
    saved = mean(1 - raced["measured"] / whole["measured"] for raced, whole in found)
    return saved, paired([raced["answer"]["val"] - whole["answer"]["val"] for raced, whole in found])


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
    saved, on_val = saved_by(found)
    enough = len(found) >= study.racing_seeds
    bar = "reached" if held >= SAME * study.racing_seeds else "missed" if enough else "open"
    yield paragraph(
        f"Racing is {TIMES:.0f} times cheaper at the same answer in {held} of {len(found)} searches: the bar, 8 in 10, "
        f"is {bar}. It saves {100 * saved:.0f}% of the images on average, and its answer has {effect(on_val)} PQ on "
        f"val beside the one without it (p {p_of(on_val)})."
    )


def _bounded(found: list[tuple[Row, Row]]) -> Iterator[str]:
    whole = [one for _, one in found]
    least, chunks = Racing(steps=whole[0]["chunks"]).min_chunks, whole[0]["chunks"]
    knowing = mean(least_measured(np.array(one["candidates"]), TOP_OF_FRONT, least / chunks) for one in whole)
    yield paragraph(
        "The cause that was looked for: what belongs on a front when it comes has to be measured to the end, and a "
        "search for a front proposes what lies near it. A rule that knew every candidate's PQ beforehand, and gave up "
        f"after {least} of {chunks} chunks whatever {TOP_OF_FRONT} candidates before it are better than and no dearer, "
        f"would still measure {knowing:.2f} of these searches without racing, {1 / knowing:.1f} times fewer images. So "
        f"a rule of this kind {'cannot' if knowing > 1 / TIMES else 'could'} reach {TIMES:.0f} times here."
    )


def _replayed(row: Row) -> Iterator[str]:
    traces = traces_of(row)
    candidates = len(traces.pq)
    yield paragraph(
        f"On the supernet of seed {row['seed']} {candidates} random candidates within the middle budget were measured "
        f"to the end, in {traces.chunks} chunks, and each rule was replayed on {min(CANDIDATES, candidates)} of them, "
        f"in {ORDERS} random draws and random order, beside one that knows every candidate beforehand. Those for one "
        f"answer give a candidate up when one is better, from {LEAST} chunks on, which is the least that `Racing` "
        "takes. The answer is the candidate with the highest PQ, and lost is what it has less than the best, on "
        "nas_val and as a path."
    )
    found = {title: summary(traces, rule) for title, rule in _rules(traces.chunks).items()}
    yield table(
        ["rule", "measured", "times fewer", "same answer", "lost"],
        (
            [title, f"{one.measured:.2f}", f"{1 / one.measured:.1f}", f"{100 * one.same:.0f}%", f"{one.lost:.2f}"]
            for title, one in found.items()
        ),
    )
    yield paragraph(_remedy(row, next(iter(found.values()))))


def _rules(chunks: int) -> dict[str, Rule]:
    least = Racing(steps=chunks).min_chunks
    return {
        f"racing for a front, {TOP_OF_FRONT} better, from {least} chunks on": racing(TOP_OF_FRONT, least, front=True),
        "the same by a rule that knows all": all_knowing(TOP_OF_FRONT, least, front=True),
        "racing for one answer": racing(1, LEAST, front=False),
        "one answer by a rule that knows all": all_knowing(1, LEAST, front=False),
        f"successive halving, {FIRST_CHUNKS} chunk first, one of {REDUCTION} goes on": halving(),
    }


def halved(row: Row) -> tuple[Summary, Interval, Interval, AtEqualPrice]:
    """Return what successive halving did, its lost PQ and share of same answers with their intervals, and its gain."""
    traces = traces_of(row)
    lost, same = sureness(traces, halving())
    return summary(traces, halving()), lost, same, at_equal_price(traces, halving(), row[BEFORE], _all_chunks(row))


def _remedy(row: Row, front: Summary) -> str:
    found, lost, same, price = halved(row)
    low, high = (f"{100 * end:.0f}" for end in same[1:])
    times = [times_less(row, one) for one in (front, found)]
    return (
        f"So successive halving, the remedy that was tried, measures {1 / found.measured:.1f} times fewer images, and "
        f"has the best candidate in {100 * found.same:.0f}% of the draws [{low}, {high}], less {interval(lost)} PQ on "
        "average, with 95% over populations of candidates; another supernet would differ, too. It "
        f"{bar_of(found, same)}. It needs all candidates beforehand, so that a search that learns from them, as "
        "Bayesian optimization, cannot use it. So it makes random search cheaper, and no search for a front. In "
        f"seconds a candidate takes {row[BEFORE]:.2f} whenever it is taken up, in which its batch norms are "
        f"recalibrated, and {row[CHUNK]:.2f} for each chunk, so that racing for a front takes {times[0]:.1f} times "
        "less time, and successive halving "
        f"{times[1]:.1f} times. At equal price: of all {len(row['pq'])} candidates it measures as many images as "
        f"{price.images} take to the end, and takes as many seconds as {price.seconds}; what it finds has "
        f"{interval(price.gained, 1)} PQ more than the best of {price.seconds}, as a path and on nas_val, by which it "
        "was chosen."
    )


def bar_of(found: Summary, same: Interval) -> str:
    """Say whether a replayed rule keeps the bar, and how sure that is."""
    if found.measured > 1 / TIMES or found.same < SAME:
        return "misses the bar"
    return "reaches the bar" if same[1] >= SAME else "reaches the bar by these draws, and not surely"


def times_less(row: Row, found: Summary) -> float:
    """Return how many times less time a replayed rule takes than measuring every candidate to the end."""
    return (row[BEFORE] + _all_chunks(row)) / seconds_of(found, row[BEFORE], _all_chunks(row))


def _all_chunks(row: Row) -> float:
    return float(row[CHUNK]) * len(row["pq"][0])
