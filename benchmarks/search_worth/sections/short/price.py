"""What the search costs, and what path priority answers, in short."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean

from benchmarks.search_worth.parts.published import PATH_PRIORITY
from benchmarks.search_worth.parts.traces import TRACES
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.sections import published, racing
from benchmarks.search_worth.sections.runs import machines_of, runs_of
from benchmarks.search_worth.sections.text import effect, interval, p_of
from benchmarks.search_worth.statistics import TESTED
from benchmarks.search_worth.study import Study


def answers(study: Study, rows: Rows) -> Iterator[str]:
    """Yield the figures."""
    yield from _price(study, rows)
    yield from _published(study, rows)


def _price(study: Study, rows: Rows) -> Iterator[str]:
    for runs in runs_of(study, rows):
        took = mean(sum(row["stages"].values()) for row in runs.rows) / 60
        where = machines_of(runs.rows)
        yield f"A run, {runs.title}, took {took:.1f} minutes, the mean of {len(runs.rows)}, on {where}."
    races = racing.races(study, rows)
    if races:
        times = mean(whole["measured"] / raced["measured"] for raced, whole in races)
        same = sum(raced["answer"]["id"] == whole["answer"]["id"] for raced, whole in races)
        yield (
            f"Racing measures {times:.1f} times fewer images, with the same answer in {same} of {len(races)} searches, "
            f"where the bar is {racing.TIMES:.0f} times in 8 of 10."
        )
    row = rows.get(TRACES)
    if row is not None:
        found, lost, same, price = racing.halved(row)
        low, high = (f"{100 * end:.0f}" for end in same[1:])
        yield (
            f"Successive halving of random candidates, replayed, measures {1 / found.measured:.1f} times fewer images, "
            f"with the best of them in {100 * same[0]:.0f}% [{low}, {high}] of draws and {interval(lost)} PQ of paths "
            f"less on average; of {len(row['pq'])} candidates it finds {interval(price.gained, 1)} more, on nas_val, "
            f"than the best of {price.seconds}, which take as many seconds. It {racing.bar_of(found, same)}, takes "
            f"{racing.times_less(row, found):.1f} times less time, and serves no search that learns from its "
            "candidates, as the one that ships."
        )


def _published(study: Study, rows: Rows) -> Iterator[str]:
    own = published.answer_minus_best(list(published.found(study, rows)[PATH_PRIORITY].values()))
    if own is not None and own.pairs >= TESTED:
        yield (
            f"On the published space path priority's answer has {effect(own)} PQ more than the best candidate that it "
            f"saw before (p {p_of(own)}, {own.pairs} seeds)."
        )
