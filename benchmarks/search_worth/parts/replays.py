"""Rules that give candidates up early, replayed on candidates that were measured to the end.

A replay takes some candidates in some order, lets each be measured chunk by chunk until the rule has seen enough of it,
and compares the answer with the one of measuring all of them to the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import mean
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from autopanoptic.nas import Racing, TrialState
from benchmarks.racing import dominators, replayed

ORDERS = 50
"""Random orders over which replays are averaged."""
CANDIDATES = 40
"""Of one search, as of the study's."""
FIRST, REDUCTION = 1, 2
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
        lost: PQ on nas_val of the answer below that of the best candidate; 0 where it is the answer.
    """

    measured: float
    lost: float


Rule = Callable[[Traces, Indices], Replay]


class Summary(NamedTuple):
    """Replays of one rule in several orders: their means, and the share of them that has the best candidate."""

    measured: float
    lost: float
    same: float


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


def least_measured(gflops: NDArray[np.float64], pq: NDArray[np.float64], top: int, share: float) -> float:
    """Return which share the rule that knows all would measure of a search for a front, whose order it leaves.

    Args:
        gflops: Of each candidate in the order in which they came, shape (candidates,).
        pq: Of each when it is measured to the end, shape (candidates,).
        top: How many must be better.
        share: Of nas_val before a candidate is given up.
    """
    return float(np.where(_beaten(pq, gflops, top), share, 1.0).mean())


def halving(first: int = FIRST, reduction: int = REDUCTION) -> Rule:
    """Return successive halving: all candidates go through ``first`` chunks, and one of ``reduction`` of them on.

    Each round takes ``reduction`` times the chunks of the one before, up to all of them (Jamieson and Talwalkar 2016,
    "Non-stochastic best arm identification and hyperparameter optimization"). No chunk is measured twice.
    """

    def rule(traces: Traces, order: Indices) -> Replay:
        alive, before, seen, until = order, 0, 0, first
        while True:
            until = min(until, traces.chunks)
            seen += len(alive) * (until - before)
            if until == traces.chunks:
                return _replay(traces, order, seen, alive)
            before = until
            kept = -(-len(alive) // reduction)
            alive = alive[np.argsort(-traces.pq[alive, before - 1], kind="stable")[:kept]]
            until *= reduction

    return rule


def summary(traces: Traces, rule: Rule, orders: int = ORDERS, candidates: int = CANDIDATES) -> Summary:
    """Replay a rule on random candidates in random orders."""
    found = [rule(traces, order) for order in _orders(traces, orders, candidates)]
    return Summary(
        mean(one.measured for one in found), mean(one.lost for one in found), mean(one.lost == 0 for one in found)
    )


def at_equal_price(traces: Traces, rule: Rule, orders: int = ORDERS) -> tuple[int, float]:
    """Return how many candidates are measured to the end for what a rule takes for all of them, and what it gains.

    The gain is the PQ on nas_val of the rule's answer above that of the best of so many random candidates, on average.
    """
    everything = np.arange(len(traces.pq))
    replay = rule(traces, everything)
    count = max(1, round(replay.measured * len(traces.pq)))
    best = traces.pq[:, -1].max()
    few = mean(float(best - traces.pq[order, -1].max()) for order in _orders(traces, orders, count))
    return count, few - replay.lost


def _beaten(pq: NDArray[np.float64], gflops: NDArray[np.float64] | None, top: int) -> NDArray[np.bool_]:
    points = pq[:, None] if gflops is None else np.column_stack([pq, -gflops])
    return np.array([dominators(points[:place], own) >= top for place, own in enumerate(points)])


def _orders(traces: Traces, orders: int, candidates: int) -> Sequence[Indices]:
    size = len(traces.pq)
    return [np.random.default_rng([number, size]).permutation(size)[:candidates] for number in range(orders)]


def _replay(traces: Traces, order: Indices, seen: int, kept: Sequence[int] | Indices) -> Replay:
    best, answer = traces.pq[order, -1].max(), traces.pq[kept, -1].max()
    return Replay(seen / (len(order) * traces.chunks), float(best - answer))
