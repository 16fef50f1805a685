"""Racing with a measured score and a cost that is known, and with several measured scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from autopanoptic.nas import Architecture, Constraint, History, Objective, Racing, Trial, TrialState

Values = NDArray[np.float64]
PQ_AND_COST = (Objective("pq"), Objective("gflops", "min"))
BETTING: dict[str, Any] = {"bound": "betting", "low": 0, "high": 100}


def history_of(rivals: Sequence[Sequence[float]], objectives: Sequence[Objective] = PQ_AND_COST) -> History:
    """Return completed trials with these metrics and one that runs, the last."""
    history = History(objectives)
    for number in range(len(rivals) + 1):
        history.add(Trial(number, Architecture({"a": number})))
    for number, values in enumerate(rivals):
        metrics = {objective.name: float(value) for objective, value in zip(objectives, values, strict=True)}
        history.update(replace(history[number], state=TrialState.COMPLETED, metrics=metrics))
    return history


def stops_after(
    stopper: Racing, history: History, costs: dict[str, float], **chunks: Sequence[float] | Values | float
) -> int | None:
    """Return the chunk after which the running trial is stopped; None where it is not. A number is always reported."""
    running = {
        name: [found] * 20 if isinstance(found, float) else (np.cumsum(found) / np.arange(1, len(found) + 1)).tolist()
        for name, found in chunks.items()
    }
    means = [dict(zip(running, values, strict=True)) for values in zip(*running.values(), strict=True)]
    trial = replace(history.running[-1], costs=costs)
    for seen, metrics in enumerate(means, 1):
        trial = replace(trial, reports=tuple(enumerate(means[:seen], 1)))
        if stopper.should_stop(history, trial, seen, metrics):
            return seen
    return None


BAD = [20.0, 20.2] * 10


@pytest.mark.parametrize("given", [{}, BETTING])
@pytest.mark.parametrize(
    ("rivals", "gflops", "stops"),
    [
        ([(80, 5)], 5.0, True),  # costs no more
        ([(80, 5)], 9.0, True),
        ([(80, 5)], 4.9, False),  # cheaper than all that are better
        ([(80, 5), (10, 1)], 4.9, False),  # the cheaper one is worse
        ([(80, 5), (60, 3), (10, 1)], 4.9, True),
    ],
)
def test_it_is_stopped_for_trials_that_cost_no_more(
    given: dict[str, Any], rivals: list[tuple[float, float]], gflops: float, stops: bool
) -> None:
    found = stops_after(Racing(20, top=1, **given), history_of(rivals), {"gflops": gflops}, pq=BAD)
    assert (found is not None) is stops


@pytest.mark.parametrize("given", [{}, BETTING])
def test_it_takes_as_many_as_top(given: dict[str, Any]) -> None:
    history = history_of([(80, 5), (70, 4), (60, 3)])
    for top, gflops, stops in [(3, 6.0, True), (3, 4.5, False), (2, 4.5, True), (4, 6.0, False)]:
        found = stops_after(Racing(20, top=top, **given), history, {"gflops": gflops}, pq=BAD)
        assert (found is not None) is stops, (top, gflops)


@pytest.mark.parametrize("given", [{}, BETTING])
def test_by_objectives_the_middle_of_a_front_is_lost_and_its_ends_are_not(given: dict[str, Any]) -> None:
    history = history_of([(80, 5), (10, 1)])
    for by, gflops, stops in [("non-domination", 3.0, False), ("objectives", 3.0, True), ("objectives", 1.0, False)]:
        found = stops_after(Racing(20, top=1, by=by, **given), history, {"gflops": gflops}, pq=BAD)
        assert (found is not None) is stops, (by, gflops)
    best = [90.0, 90.2] * 10
    assert stops_after(Racing(20, top=1, by="objectives", **given), history, {"gflops": 9.0}, pq=best) is None


def test_it_decides_as_a_race_among_those_that_cost_no_more() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        rivals = np.column_stack([rng.normal(44, 3, 8), rng.integers(1, 6, 8)])
        chunks, gflops = rng.normal(40, 5, 20), float(rng.integers(1, 6))
        able = [(pq,) for pq, cost in rivals if cost <= gflops]
        for bound in ({}, BETTING):
            stopper = Racing(20, top=2, **bound)
            alone = stops_after(stopper, history_of(able, [Objective("pq")]), {}, pq=chunks)
            assert stops_after(stopper, history_of(rivals.tolist()), {"gflops": gflops}, pq=chunks) == alone


def test_a_constant_that_is_reported_is_known_exactly() -> None:
    """Also where its sums over the chunks are not, as those of 0.1."""
    for rival, stops in [(0.1, True), (0.1 + 1e-12, False)]:
        found = stops_after(Racing(20, top=1), history_of([(80, rival)]), {}, pq=BAD, gflops=0.1)
        assert (found is not None) is stops
    as_cost = stops_after(Racing(20, top=1), history_of([(20.15, 0.1)]), {"gflops": 0.1}, pq=BAD)
    assert as_cost == stops_after(Racing(20, top=1), history_of([(20.15, 0.1)]), {}, pq=BAD, gflops=0.1)


def test_directions_may_be_any() -> None:
    rng = np.random.default_rng(1)
    mirrored = (Objective("pq", "min"), Objective("gflops", "max"))
    for _ in range(20):
        rivals, chunks = np.column_stack([rng.normal(44, 3, 5), rng.integers(1, 4, 5)]), rng.normal(40, 5, 20)
        found = stops_after(Racing(20, top=1), history_of(rivals.tolist()), {"gflops": 2.0}, pq=chunks)
        other = history_of((-rivals).tolist(), mirrored)
        assert stops_after(Racing(20, top=1), other, {"gflops": -2.0}, pq=-chunks) == found


def test_trials_that_break_a_constraint_are_no_rivals() -> None:
    history = History(PQ_AND_COST, [Constraint("memory", None, 10)])
    for number in range(2):
        history.add(Trial(number, Architecture({"a": number})))
    metrics = {"pq": 90.0, "gflops": 1.0, "memory": 20.0}
    history.update(replace(history[0], state=TrialState.COMPLETED, metrics=metrics))
    assert stops_after(Racing(20, top=1), history, {"gflops": 5.0}, pq=BAD) is None


# The error rate


def race(rule: Racing, pq: Values, gflops: Values) -> tuple[list[int], int]:
    """Race candidates, rows of chunks, one after another; return those stopped, and how many chunks were measured."""
    history, stopped, used = History(PQ_AND_COST), [], 0
    for number, chunks in enumerate(pq):
        trial = Trial(number, Architecture({"a": number}))
        history.add(trial)
        after = stops_after(rule, history, {"gflops": gflops[number]}, pq=chunks)
        used += after or len(chunks)
        if after is None:
            metrics = {"pq": float(chunks.mean()), "gflops": float(gflops[number])}
            history.update(replace(trial, state=TrialState.COMPLETED, metrics=metrics))
        else:
            history.update(replace(trial, state=TrialState.STOPPED))
            stopped.append(number)
    return stopped, used


def front_so_far(final: Values, gflops: Values) -> NDArray[np.bool_]:
    """Return which candidates none of the earlier ones dominates."""
    found = np.ones(len(final), dtype=bool)
    for number in range(len(final)):
        as_good = (final[:number] >= final[number]) & (gflops[:number] <= gflops[number])
        found[number] = not (as_good & ((final[:number] > final[number]) | (gflops[:number] < gflops[number]))).any()
    return found


@pytest.mark.parametrize("given", [{}, {"bound": "betting", "low": 10, "high": 90}])
def test_members_of_the_front_are_stopped_no_more_often_than_the_error_allows(given: dict[str, Any]) -> None:
    """Where the more expensive are better, and a chunk's noise is as large as the candidates' differences."""
    belonging = wrong = used = 0
    error = 0.2
    for seed in range(12):
        rng = np.random.default_rng(seed)
        gflops = rng.integers(1, 9, 60).astype(float)
        pq = np.clip(40 + 2 * gflops[:, None] + rng.normal(0, 5, (60, 1)) + rng.normal(0, 6, (60, 20)), 10.01, 89.9)
        stopped, chunks = race(Racing(20, top=1, error=error, **given), pq, gflops)
        members = front_so_far(pq.mean(axis=1), gflops)
        belonging, wrong, used = belonging + members.sum(), wrong + members[stopped].sum(), used + chunks
    assert belonging > 150
    assert wrong / belonging <= error
    assert used < (0.75 if given else 0.6) * 12 * 60 * 20


@pytest.mark.parametrize("n_measured", [1, 2])
def test_the_error_is_kept_where_it_is_largest(n_measured: int) -> None:
    """On the threshold itself: a rival as good in one measured score, and better in all else."""
    rng = np.random.default_rng(0)
    objectives = [Objective("pq"), Objective("miou"), Objective("gflops", "min")]
    error, stopped = 0.2, 0
    for _ in range(600):
        pq, miou = rng.normal(40, 5, 20), rng.normal(60, 5, 20)
        history = history_of([(pq.mean(), miou.mean() + 50, 1.0)], objectives)
        measured = {"pq": pq, "miou": miou} if n_measured == 2 else {"pq": pq}
        costs = {"gflops": 2.0, "miou": 60.0}
        stopped += stops_after(Racing(20, top=1, error=error), history, costs, **measured) is not None
    # The union over the looks wastes some of the error; that over the scores half of it here.
    assert error / n_measured / 4 < stopped / 600 <= error / n_measured


def test_the_clearly_dominated_are_stopped_early() -> None:
    rng = np.random.default_rng(0)
    for given in ({}, BETTING):
        pq = np.vstack([rng.normal(70, 5, (1, 40)), rng.normal(40, 5, (60, 40))])
        stopped, used = race(Racing(40, top=1, **given), pq, np.ones(61))
        assert len(stopped) == 60
        assert used < 40 + 60 * 10


def test_two_measured_scores_must_both_fall_short() -> None:
    objectives = [Objective("pq"), Objective("miou")]
    rng = np.random.default_rng(0)
    good, bad = rng.normal(60, 1, 20), rng.normal(30, 1, 20)
    for pq, miou, stops in [(bad, bad, True), (bad, good, False), (good, bad, False)]:
        found = stops_after(Racing(20, top=1), history_of([(50, 50)], objectives), {}, pq=pq, miou=miou)
        assert (found is not None) is stops


# What is refused


def refused(given: dict[str, Any], costs: dict[str, float], *reports: dict[str, float]) -> None:
    history = history_of([(50, 5)])
    trial = replace(history[1], costs=costs, reports=tuple(enumerate(reports, 1)))
    Racing(20, **given).should_stop(history, trial, len(reports), reports[-1])


def test_reports_that_do_not_fit_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"by 'gflops', but trial 1 reported only \['pq'\] at step 1\. .* in costs="):
        refused({}, {}, {"pq": 1.0})
    with pytest.raises(ValueError, match=r"by 'pq', but trial 1 reported only \['loss'\] at step 2"):
        refused({}, {"gflops": 1.0}, {"pq": 1.0}, {"loss": 1.0})
    with pytest.raises(ValueError, match=r"'gflops' in every report or in none; trial 1 reported it at step 2"):
        refused({}, {"gflops": 1.0}, {"pq": 1.0}, {"pq": 1.0, "gflops": 1.0})
    with pytest.raises(ValueError, match=r"\['pq', 'gflops'\] are all costs"):
        refused({}, {"pq": 1.0, "gflops": 1.0}, {"loss": 1.0})
    with pytest.raises(ValueError, match=r"bounds one measured objective, but trial 1 reported \['pq', 'gflops'\]"):
        refused(BETTING, {}, {"pq": 1.0, "gflops": 1.0})
    with pytest.raises(ValueError, match="by to be 'non-domination' or 'objectives', not 'pareto'"):
        Racing(20, by="pareto")
