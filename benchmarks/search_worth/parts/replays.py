"""Rules that give candidates up early, replayed on candidates that were measured to the end.

A replay takes some candidates in some order, lets each be measured chunk by chunk until the rule has seen enough of it,
and compares the answer with the one of measuring all of them to the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import mean
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autopanoptic.nas import Racing, TrialState
from benchmarks.racing import dominators, replayed
from benchmarks.search_worth.statistics import Interval

ORDERS = 50
"""Random draws of candidates, in random orders, over which replays are averaged."""
CANDIDATES = 40
"""Of one search, as of the study's."""
RESAMPLED = 100
"""Populations of candidates that a bootstrap draws with replacement."""
FIRST_CHUNKS, REDUCTION = 1, 2
"""Of successive halving: chunks of its first round, and of how many candidates one goes on."""
Indices = NDArray[np.intp]


class Traces(NamedTuple):
    """Candidates that were measured to the end.

    Attributes:
        gflops: Of each, shape (candidates,).
        pq: Of the images so far, after each chunk, shape (candidates, chunks).
    """

    gflops: NDArray[np.float64]
    pq: NDArray[np.float64]

    @property
    def chunks(self) -> int:
        """Of nas_val."""
        return self.pq.shape[1]


class Replay(NamedTuple):
    """What a rule did.

    Attributes:
        measured: The share of all the candidates' chunks.
        visits: How often a candidate was taken up, on average, each time with batch norms of its own.
        lost: PQ on nas_val of the answer below that of the best candidate; 0 where it is the answer.
    """

    measured: float
    visits: float
    lost: float


Rule = Callable[[Traces, Indices], Replay]


class Summary(NamedTuple):
    """Replays of one rule, on average, and the share of them whose answer is the best candidate."""

    measured: float
    visits: float
    lost: float
    same: float


class AtEqualPrice(NamedTuple):
    """What a rule finds of all candidates for the price of a few.

    Attributes:
        images: How many candidates are measured to the end with as many images.
        seconds: How many, in as many seconds.
        gained: The PQ on nas_val of its answer above that of the best of as many random candidates as of `seconds`,
            with the ends of its 95% interval over populations of candidates.
    """

    images: int
    seconds: int
    gained: Interval


def traces_of(row: Mapping[str, Any]) -> Traces:
    """Read a row of `traces`."""
    return Traces(np.array(row["gflops"], dtype=np.float64), np.array(row["pq"], dtype=np.float64))


def racing(top: int, least: int, *, front: bool) -> Rule:
    """Return the replay of `Racing`.

    Args:
        top: How many must be better.
        least: Chunks before a candidate is given up.
        front: Whether those must be no dearer, as for a front of PQ and GFLOPs.
    """

    def rule(traces: Traces, order: Indices) -> Replay:
        stopper = Racing(traces.chunks, top=top, min_chunks=least)
        history = replayed(stopper, traces.pq[order], traces.gflops[order] if front else None)
        kept = [order[trial.id] for trial in history if trial.state is TrialState.COMPLETED]
        return _replay(traces, order, sum(len(trial.reports) for trial in history), kept)

    return rule


def all_knowing(top: int, least: int, *, front: bool) -> Rule:
    """Return a rule that knows beforehand whether ``top`` candidates before one are better, and so is never wrong.

    It looks at each of the others for the ``least`` chunks, so that no rule of this kind that errs in nothing measures
    less.
    """

    def rule(traces: Traces, order: Indices) -> Replay:
        beaten = _beaten(traces.pq[order, -1], traces.gflops[order] if front else None, top)
        seen = np.where(beaten, least, traces.chunks).sum()
        return _replay(traces, order, int(seen), order[~beaten])

    return rule


def least_measured(candidates: NDArray[np.float64], top: int, share: float) -> float:
    """Return which share the rule that knows all would measure of a search for a front, whose order it leaves.

    Args:
        candidates: GFLOPs and PQ of each, when it is measured to the end, in their order, shape (candidates, 2).
        top: How many must be better.
        share: Of nas_val before a candidate is given up.
    """
    gflops, pq = candidates.T
    return float(np.where(_beaten(pq, gflops, top), share, 1.0).mean())


def halving(first: int = FIRST_CHUNKS, reduction: int = REDUCTION) -> Rule:
    """Return successive halving: all candidates go through ``first`` chunks, and one of ``reduction`` of them on.

    Each round takes ``reduction`` times the chunks of the one before, up to all of them (Jamieson and Talwalkar 2016,
    "Non-stochastic best arm identification and hyperparameter optimization"). No chunk is measured twice.

    Raises:
        ValueError: If ``reduction`` is below 2.
    """
    if reduction < 2:
        raise ValueError(f"one of {reduction} candidates cannot go on; take 2 or more")

    def rule(traces: Traces, order: Indices) -> Replay:
        alive, before, seen, visits, until = order, 0, 0, 0, first
        while True:
            until = min(until, traces.chunks)
            seen += len(alive) * (until - before)
            visits += len(alive)
            if until == traces.chunks:
                return _replay(traces, order, seen, alive, visits)
            before = until
            kept = -(-len(alive) // reduction)
            alive = alive[np.argsort(-traces.pq[alive, before - 1], kind="stable")[:kept]]
            until *= reduction

    return rule


def summary(traces: Traces, rule: Rule, draws: int = ORDERS, candidates: int = CANDIDATES) -> Summary:
    """Replay a rule on random candidates in random orders."""
    found = [rule(traces, order) for order in _orders(traces, draws, candidates)]
    measured, visits, lost = (mean(values) for values in zip(*found, strict=True))
    return Summary(measured, visits, lost, mean(one.lost == 0 for one in found))


def sureness(traces: Traces, rule: Rule) -> tuple[Interval, Interval]:
    """Return `lost` and `same` of a rule with the ends of their 95% intervals over populations of candidates.

    Another supernet would differ besides.
    """
    found = summary(traces, rule)
    drawn = [summary(one, rule, draws=ORDERS) for one in _resampled(traces)]
    lost, same = ([getattr(one, name) for one in drawn] for name in ("lost", "same"))
    return _interval(found.lost, lost), _interval(found.same, same)


def seconds_of(replay: Replay | Summary, before: float, all_chunks: float) -> float:
    """Return the seconds of a candidate on average.

    Args:
        replay: Of a rule.
        before: Seconds before the first chunk, whenever a candidate is taken up.
        all_chunks: Of a candidate that is measured to the end.
    """
    return replay.visits * before + replay.measured * all_chunks


def at_equal_price(traces: Traces, rule: Rule, before: float, all_chunks: float) -> AtEqualPrice:
    """Return what a rule gains with all candidates over measuring fewer to the end for what that takes.

    Args:
        traces: The candidates.
        rule: Which must not depend on their order.
        before: See `seconds_of`.
        all_chunks: Likewise.
    """
    size = len(traces.pq)
    replay = rule(traces, np.arange(size))
    price = seconds_of(replay, before, all_chunks) / (before + all_chunks)
    count = max(1, round(price * size))
    drawn = [_gain(one, rule, count) for one in _resampled(traces)]
    return AtEqualPrice(max(1, round(replay.measured * size)), count, _interval(_gain(traces, rule, count), drawn))


def _gain(traces: Traces, rule: Rule, count: int) -> float:
    few = mean(traces.pq[order, -1].max() for order in _orders(traces, ORDERS, count))
    return float(traces.pq[:, -1].max() - rule(traces, np.arange(len(traces.pq))).lost - few)


def _resampled(traces: Traces) -> Iterator[Traces]:
    size = len(traces.pq)
    for number in range(RESAMPLED):
        chosen = np.random.default_rng([number, size, 1]).integers(size, size=size)
        yield Traces(traces.gflops[chosen], traces.pq[chosen])


def _interval(value: float, drawn: Sequence[float]) -> Interval:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(value), float(low), float(high)


def _beaten(pq: NDArray[np.float64], gflops: NDArray[np.float64] | None, top: int) -> NDArray[np.bool_]:
    points = pq[:, None] if gflops is None else np.column_stack([pq, -gflops])
    return np.array([dominators(points[:place], own) >= top for place, own in enumerate(points)])


def _orders(traces: Traces, draws: int, candidates: int) -> Sequence[Indices]:
    size = len(traces.pq)
    return [np.random.default_rng([number, size]).permutation(size)[:candidates] for number in range(draws)]


def _replay(
    traces: Traces, order: Indices, seen: int, kept: Sequence[int] | Indices, visits: int | None = None
) -> Replay:
    best, answer = traces.pq[order, -1].max(), traces.pq[kept, -1].max()
    taken_up = 1.0 if visits is None else visits / len(order)
    return Replay(seen / (len(order) * traces.chunks), taken_up, float(best - answer))
