from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from autopanoptic.nas import (
    Architecture,
    Choice,
    Constraint,
    History,
    Objective,
    RandomSearch,
    Search,
    SearchError,
    SearchSpace,
    Trial,
    TrialState,
)
from autopanoptic.nas.stopping.bounds import betting_capital, normal_upper_bound
from autopanoptic.nas.stopping.racing import Racing

Chunks = NDArray[np.float64]
VALUE = (Objective("value"),)
BETTING: dict[str, Any] = {"bound": "betting", "low": 0, "high": 100}


def history_of(scores: Sequence[float], objective: Objective = VALUE[0]) -> History:
    """Return completed trials with these scores and one that runs, the last."""
    history = History([objective])
    for number in range(len(scores) + 1):
        history.add(Trial(number, Architecture({"a": number})))
    for number, score in enumerate(scores):
        metrics = {objective.name: score}
        history.update(replace(history[number], state=TrialState.COMPLETED, metrics=metrics))
    return history


def stops_after(stopper: Racing, history: History, chunks: Sequence[float] | Chunks, size: int = 1) -> int | None:
    """Return the chunk after which the running trial is stopped; None where it is not."""
    trial = history.running[-1]
    means = np.cumsum(chunks) / np.arange(1, len(chunks) + 1)
    reports = [(size * number, {"value": float(mean)}) for number, mean in enumerate(means, 1)]
    for seen, (step, metrics) in enumerate(reports, 1):
        if stopper.should_stop(history, replace(trial, reports=tuple(reports[:seen])), step, metrics):
            return seen
    return None


# The bounds


def test_normal_bound_by_hand() -> None:
    # The mean is 43, the sample's variance 5, so the deviation sqrt(5 / 5 * (1 - 5 / 10)); t(4) at 0.99 is 3.746947.
    found = normal_upper_bound(np.array([40.0, 44, 42, 46, 43]), 10, 0.01)
    assert found == pytest.approx(43 + 3.746947 * math.sqrt(0.5), abs=1e-5)


def test_normal_bound_of_the_whole_population_is_its_mean() -> None:
    chunks = np.random.default_rng(0).normal(size=9)
    assert normal_upper_bound(chunks, 9, 0.01) == pytest.approx(chunks.mean())


def test_betting_capital_by_hand() -> None:
    # A mean of 0.5 leaves a mean of 0.5 at first; a gambler who stakes a share f has 1 + f (0.5 - 0.2) / (1 - 0.5).
    # The shares are 0.05, 0.1, ..., 0.95: their mean is 0.5, that of their squares 0.325.
    assert betting_capital(np.array([0.2]), 4, 0.5) == pytest.approx(1 + 0.6 * 0.5)
    # Then (2 - 0.2) / 3 = 0.6 is left, and the second bet brings 1 + f (0.6 - 0.4) / (1 - 0.6).
    assert betting_capital(np.array([0.2, 0.4]), 4, 0.5) == pytest.approx(1 + (0.6 + 0.5) * 0.5 + 0.3 * 0.325)
    assert betting_capital(np.array([0.8, 0.4]), 4, 0.35) < 1


def test_betting_capital_is_infinite_where_the_mean_is_out_of_reach() -> None:
    assert betting_capital(np.array([0.0, 0.0]), 4, 0.5) < math.inf
    assert betting_capital(np.array([0.0, 0.0]), 4, 0.501) == math.inf
    assert betting_capital(np.ones(3), 4, 1.0) <= 1, "a perfect candidate is still in the race"


@pytest.mark.parametrize("population", [[0, 0, 0, 1, 1, 1], [0.1, 0.1, 0.1, 0.1, 0.1, 1], [0, 0.3, 0.4, 0.5, 0.6, 1]])
def test_betting_errs_in_no_more_orders_than_it_may(population: list[float]) -> None:
    """Over all orders of a population the capital against its own mean reaches c in at most 1 / c of them."""
    final = float(np.mean(population))
    highest = np.array(
        [
            max(betting_capital(np.array(order[:seen]), 6, final) for seen in range(1, 6))
            for order in itertools.permutations(population)
        ]
    )
    for error in (0.7, 0.5, 0.2, 0.1, 0.05, 0.02):
        assert np.mean(highest >= 1 / error) <= error
    assert np.mean(highest >= 1 / 0.7) > 0.1


@settings(max_examples=100, deadline=None)
@given(
    chunks=st.lists(st.floats(0, 1), min_size=1, max_size=12),
    more=st.integers(1, 12),
    finals=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_betting_capital_grows_with_the_threshold(chunks: list[float], more: int, finals: tuple[float, float]) -> None:
    """So a threshold that rises while a candidate runs makes no new error."""
    low, high = (betting_capital(np.array(chunks), len(chunks) + more, final) for final in sorted(finals))
    assert low <= high * (1 + 1e-6)


# The error rate


def ever_stopped(stopper: Racing, populations: Chunks, margin: float = 0.0) -> list[int | None]:
    """Race each against a threshold that is its own final score plus a margin."""
    return [stops_after(stopper, history_of([float(chunks.mean()) + margin]), chunks) for chunks in populations]


@pytest.mark.parametrize("error", [0.05, 0.3])
def test_normal_bound_keeps_its_error_where_it_is_largest(error: float) -> None:
    """On the threshold itself, with the noise of panoptic quality: chunks with a deviation of 5 of 100."""
    rng = np.random.default_rng(0)
    populations = rng.normal(40, 5, (2_000, 20))
    stopped = ever_stopped(Racing(20, top=1, error=error, min_chunks=3), populations)
    rate = np.mean([after is not None for after in stopped])
    # The union over the looks wastes some of the error, but not most of it.
    assert error / 4 < rate <= error


@pytest.mark.parametrize("shape", ["two values", "right tail"])
def test_betting_keeps_its_error_for_any_noise(shape: str) -> None:
    """Where the normal bound does not."""
    rng = np.random.default_rng(0)
    noise = rng.random((1_000, 20)) < 0.15 if shape == "two values" else np.minimum(rng.gamma(0.3, 0.3, (1_000, 20)), 1)
    populations = 20 + 60 * np.asarray(noise, dtype=float)
    populations = populations[populations.std(axis=1) > 0]
    betting = ever_stopped(Racing(20, top=1, error=0.1, bound="betting", low=20, high=80), populations)
    assert np.mean([after is not None for after in betting]) <= 0.1
    normal = ever_stopped(Racing(20, top=1, error=0.1), populations[:300])
    assert np.mean([after is not None for after in normal]) > 0.2


@pytest.mark.parametrize("given", [{}, BETTING])
def test_the_clearly_bad_are_stopped_early(given: dict[str, Any]) -> None:
    populations = np.random.default_rng(0).normal(30, 5, (100, 40))
    stopped = ever_stopped(Racing(40, top=1, **given), populations, margin=20)
    assert all(after is not None for after in stopped)
    assert np.mean([float(after or 40) for after in stopped]) < 12


# The rule


@pytest.mark.parametrize("given", [{}, BETTING])
def test_nothing_is_stopped_without_top_completed_trials(given: dict[str, Any]) -> None:
    bad = [1.0, 1.1] * 10
    assert stops_after(Racing(20, top=4, **given), history_of([90.0] * 3), bad) is None
    assert stops_after(Racing(20, top=3, **given), history_of([90.0] * 3), bad) is not None


def test_the_threshold_is_the_worst_of_the_best() -> None:
    chunks = [50.0, 50.1] * 10
    for top, stopped in [(1, True), (2, True), (3, False)]:
        found = stops_after(Racing(20, top=top), history_of([20.0, 80.0, 40.0, 60.0]), chunks)
        assert (found is not None) is stopped


def test_trials_that_break_a_constraint_are_no_rivals() -> None:
    history = History(VALUE, [Constraint("latency", None, 10)])
    for number in range(3):
        history.add(Trial(number, Architecture({"a": number})))
    for number, latency in enumerate((5, 20)):
        metrics = {"value": 90.0, "latency": float(latency)}
        history.update(replace(history[number], state=TrialState.COMPLETED, metrics=metrics))
    assert stops_after(Racing(20, top=1), history, [1.0, 1.1] * 10) is not None
    assert stops_after(Racing(20, top=2), history, [1.0, 1.1] * 10) is None


def test_a_candidate_is_stopped_at_the_first_look_that_excludes_it() -> None:
    for seed in range(5):
        chunks = np.random.default_rng(seed).normal(40, 5, 20)
        looks = range(5, 20)
        normal = [seen for seen in looks if normal_upper_bound(chunks[:seen], 20, 0.06 / 15) < 44]
        assert stops_after(Racing(20, top=1, error=0.06), history_of([44.0]), chunks) == min(normal)
        betting = [seen for seen in looks if betting_capital((chunks[:seen] - 20) / 40, 20, 0.7) >= 1 / 0.06]
        stopper = Racing(20, top=1, error=0.06, bound="betting", low=20, high=60)
        assert stops_after(stopper, history_of([48.0]), chunks) == min(betting)


@pytest.mark.parametrize("given", [{}, BETTING])
@pytest.mark.parametrize("least", [2, 5, 9])
def test_a_candidate_has_its_first_chunks_and_the_last_report_decides_nothing(
    given: dict[str, Any], least: int
) -> None:
    worst = [0.0, 0.1] * 5
    assert stops_after(Racing(10, top=1, min_chunks=least, **given), history_of([99.0]), worst) == least
    late = [99.5, 99.0] * 4 + [99.0, 0.0]
    assert stops_after(Racing(10, top=1, min_chunks=least, **given), history_of([95.0]), late) is None


def test_less_may_be_better() -> None:
    rng = np.random.default_rng(0)
    for bound, mirrored in (({}, {}), (BETTING, dict(BETTING, low=-100, high=0))):
        found = set()
        for number in range(20):
            chunks = rng.normal(40 + number / 2, 5, 30)
            most = stops_after(Racing(30, top=1, **bound), history_of([48.0]), chunks)
            least = history_of([-48.0], Objective("value", "min"))
            assert stops_after(Racing(30, top=1, **mirrored), least, -chunks) == most
            found.add(most is None)
        assert found == {True, False}


def test_a_chunk_may_be_several_steps() -> None:
    chunks = np.random.default_rng(0).normal(40, 5, 20)
    for bound in ({}, BETTING):
        one, four = Racing(20, top=1, **bound), Racing(80, top=1, **bound)
        expected = stops_after(one, history_of([55.0]), chunks)
        assert expected == stops_after(four, history_of([55.0]), chunks, size=4)
        assert expected is not None


@settings(max_examples=60, deadline=None)
@given(
    chunks=st.lists(st.integers(0, 100), min_size=6, max_size=12),
    final=st.integers(0, 100),
    scale=st.sampled_from([0.25, 1.0, 8.0]),
    shift=st.integers(-50, 50),
)
def test_decisions_do_not_depend_on_the_unit(chunks: list[int], final: int, scale: float, shift: int) -> None:
    total, scores = len(chunks) + 3, np.array(chunks, dtype=float)
    bounds = [normal_upper_bound(scores[:seen], total, 0.2 / (total - 2)) for seen in range(2, len(chunks) + 1)]
    assume(all(abs(bound - final) > 1e-6 for bound in bounds))  # at equality the decision may hang on rounding

    def stopped(scale: float, shift: float, **given: Any) -> int | None:
        stopper = Racing(total, top=1, error=0.2, min_chunks=2, **given)
        return stops_after(stopper, history_of([scale * final + shift]), scale * scores + shift)

    after = stopped(1, 0)
    assert after == stopped(scale, shift)
    assert after is None or scores[:after].mean() < final, "at or above the threshold it goes on"
    moved = {"low": shift, "high": scale * 100 + shift}
    assert stopped(1, 0, **BETTING) == stopped(scale, shift, bound="betting", **moved)


# What is refused


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"steps": 5}, "steps to be a whole number of at least 6, not 5"),
        ({"steps": 20.0}, "steps"),
        ({"top": 0}, "top"),
        ({"min_chunks": 1}, "min_chunks to be a whole number of at least 2, not 1"),
        ({"error": 0}, "error to be a number above 0 and below 1, not 0"),
        ({"error": 1.0}, "error"),
        ({"error": "5%"}, "error"),
        ({"bound": "hoeffding"}, "has the bounds normal and betting, not 'hoeffding'"),
        ({"bound": "betting"}, "needs the range of a chunk's score, such as low=0, high=100, not low=None, high=None"),
        ({"bound": "betting", "low": 1, "high": 1}, "low=1, high=1"),
        ({"bound": "betting", "low": 0, "high": math.inf}, "high=inf"),
        ({"high": 100}, "low and high only with"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Racing(**{"steps": 20, **given})


def test_repr_shows_the_parameters_alone() -> None:
    stopper = Racing(40, **BETTING)
    expected = (
        "Racing(steps=40, top=10, error=0.05, bound='betting', low=0, high=100, min_chunks=5, by='non-domination')"
    )
    assert repr(stopper) == expected
    stops_after(stopper, history_of([50.0] * 10), [40.0] * 10)
    assert repr(stopper) == expected


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([0], "counted from 1; trial 1 reported after the steps 0"),
        ([1, 2, 4], "after every chunk, all of one size, .* after the steps 1, 2, 4"),
        ([2, 4, 5], "2, 4, 5"),
        ([1, 2, 2], "1, 2, 2"),
        (range(1, 22), r"equal chunks that end at step 20; .* 1, 2, 3, 4, 5, 6, 7, ..., 21"),
        ([3], "equal chunks that end at step 20; .* after the steps 3"),
        ([4], "needs more than 5 equal chunks"),
    ],
)
def test_reports_that_are_not_after_equal_chunks_are_refused(steps: Sequence[int], message: str) -> None:
    history = history_of([50.0])
    reports = tuple((step, {"value": 40.0}) for step in steps)
    with pytest.raises(ValueError, match=message):
        Racing(20, top=1).should_stop(history, replace(history[1], reports=reports), *reports[-1])


def test_scores_outside_the_range_are_refused() -> None:
    for objective, score in ((VALUE[0], 7.0), (Objective("value", "min"), -1.0)):
        with pytest.raises(ValueError, match=rf"lies in \[0, 5\], but trial 1 has a chunk of {score:g}"):
            stops_after(Racing(20, bound="betting", low=0, high=5), history_of([3.0], objective), [4.0, score])
    single = np.float32([1.0, 1.0, 1.0, 0.1, 1.0]).cumsum() / np.arange(1, 6, dtype=np.float32)
    chunks = np.diff(single.astype(float) * np.arange(1, 6), prepend=0)
    assert chunks.max() > 1, "single precision"
    assert stops_after(Racing(20, bound="betting", low=0, high=1), history_of([0.5]), chunks) is None
    perfect = Racing(20, top=1, bound="betting", low=0, high=1)
    assert stops_after(perfect, history_of([1.0]), [1.000001] * 19) is None


SPACE = SearchSpace(Choice(f"c{i}", range(6)) for i in range(4))


def test_a_search_whose_reports_lack_the_objective_ends_with_the_reason() -> None:
    def evaluate(architecture: Architecture, report: Callable[..., None]) -> float:
        report(1, {"sq": 1.0})
        return 1.0

    search = Search(SPACE, RandomSearch(), evaluate, objectives="pq", stopper=Racing(20))
    with pytest.raises(SearchError, match=r"by 'pq', but trial 0 reported only \['sq'\] at step 1"):
        search.run(20)
