"""Rules that give candidates up early, replayed on candidates whose figures are known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from autopanoptic.nas import Architecture, Trial, TrialState
from autopanoptic.nas.evaluation.evaluator import Metrics, Report, Unheard
from benchmarks.search_worth.parts.replays import (
    Replay,
    Traces,
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
from benchmarks.search_worth.parts.traces import Watched, row_of

CHUNKS = 8


class Heard(Unheard):
    """Keeps what is reported."""

    def __init__(self, seen: list[tuple[int, Metrics]]) -> None:
        super().__init__()
        self.seen = seen

    def __call__(self, step: int, metrics: Metrics) -> None:
        self.seen.append((step, metrics))


STEADY = Traces(
    np.array([1.0, 2.0, 3.0, 4.0]), np.array([[10.0] * CHUNKS, [20.0] * CHUNKS, [5.0] * CHUNKS, [30.0] * CHUNKS])
)
FOURTH_AT_LAST = Traces(np.ones(4), np.array([[40, 40], [30, 30], [20, 20], [10, 50.0]]))
IN_ORDER = np.arange(4)


def test_successive_halving_goes_on_with_the_best_half() -> None:
    # 4 candidates see 1 chunk, 2 of them the second, 1 the two and four after that: 4 + 2 + 2 + 4 of 32
    assert halving()(STEADY, IN_ORDER) == (12 / 32, (4 + 2 + 1 + 1) / 4, 0.0)
    assert halving(first=CHUNKS)(STEADY, IN_ORDER) == (1.0, 1.0, 0.0)
    with pytest.raises(ValueError, match="one of 1 candidates cannot go on"):
        halving(reduction=1)


def test_successive_halving_loses_what_begins_badly() -> None:
    assert halving()(FOURTH_AT_LAST, IN_ORDER) == ((4 + 2) / 8, 1.5, 10.0)
    assert halving(first=2)(FOURTH_AT_LAST, IN_ORDER) == (1.0, 1.0, 0.0)


def test_a_rule_that_knows_all_measures_records_to_the_end() -> None:
    # 10, 20 and 30 are the best when they come, and 5 is not
    assert all_knowing(1, 2, front=False)(STEADY, IN_ORDER) == ((3 * CHUNKS + 2) / 32, 1.0, 0.0)
    assert all_knowing(3, 2, front=False)(STEADY, IN_ORDER) == (1.0, 1.0, 0.0)
    backwards = IN_ORDER[::-1]
    assert all_knowing(1, 2, front=False)(STEADY, backwards) == ((CHUNKS + 3 * 2) / 32, 1.0, 0.0)
    # Backwards each is cheaper than all before it, so that all are on the front when they come.
    assert all_knowing(1, 2, front=True)(STEADY, backwards) == (1.0, 1.0, 0.0)


def test_what_a_rule_that_knows_all_measures_of_a_search() -> None:
    candidates = np.array([[2.0, 20.0], [1.0, 10.0], [3.0, 15.0], [3.0, 25.0]])
    # 15 at 3 alone is dearer and worse than one before it, the first, and than no two.
    assert least_measured(candidates, 1, 0.25) == (3 + 0.25) / 4
    assert least_measured(candidates, 2, 0.25) == 1.0


def test_racing_is_that_of_the_library() -> None:
    rng = np.random.default_rng(0)
    chunks = np.array([[40.0], [10.0], [50.0], [5.0]]) + rng.normal(0, 0.1, (4, CHUNKS))
    traces = Traces(np.ones(4), chunks.cumsum(1) / np.arange(1, CHUNKS + 1))
    assert racing(1, 2, front=False)(traces, IN_ORDER) == ((2 * CHUNKS + 2 * 2) / 32, 1.0, 0.0)
    dear_first = Traces(np.array([4.0, 3.0, 2.0, 1.0]), traces.pq)
    assert racing(1, 2, front=True)(dear_first, IN_ORDER) == (1.0, 1.0, 0.0)


def test_replays_are_averaged_over_draws() -> None:
    assert summary(STEADY, halving(), draws=3, candidates=4) == (12 / 32, 2.0, 0.0, 1.0)
    wrong = summary(FOURTH_AT_LAST, halving(), draws=3, candidates=4)
    assert (wrong.lost, wrong.same) == (10.0, 0.0)


def test_seconds_are_those_of_every_visit_and_of_the_chunks() -> None:
    assert seconds_of(Replay(measured=0.25, visits=2.0, lost=0.0), before=0.5, all_chunks=8.0) == 2 * 0.5 + 0.25 * 8


def test_how_sure_a_replay_is_goes_by_the_candidates_drawn() -> None:
    lost, same = sureness(FOURTH_AT_LAST, halving())
    # A population without the fourth loses nothing, which of four draws from four one in three has.
    assert lost == (10.0, 0.0, pytest.approx(30.0, abs=10.1))
    assert (same[0], same[2]) == (0.0, 1.0)
    assert sureness(STEADY, halving()) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_at_equal_price_fewer_are_measured_to_the_end() -> None:
    # 12 of 32 chunks are 1.5 candidates, rounded to 2, whose best is below the best of all in half of the pairs.
    found = at_equal_price(STEADY, halving(), before=0.0, all_chunks=1.0)
    assert (found.images, found.seconds) == (2, 2)
    # The best of two of 5, 10, 20 and 30: 30 in three of six pairs, 20 in two, 10 in one.
    assert found.gained[0] == pytest.approx(30 - (3 * 30 + 2 * 20 + 10) / 6, abs=2.5)
    # With as much before the first chunk as for all of them two visits take more than a whole candidate.
    dear = at_equal_price(STEADY, halving(), before=1.0, all_chunks=1.0)
    assert (dear.images, dear.seconds) == (2, round((2.0 + 12 / 32) / 2 * 4))
    # 50 is lost, and 40 is found, where the best of three of four is 50 in three of four draws and 40 in one.
    wrong = at_equal_price(FOURTH_AT_LAST, halving(), before=0.0, all_chunks=1.0)
    assert wrong.seconds == 3
    assert wrong.gained[0] == pytest.approx(40 - (3 * 50 + 40) / 4, abs=2.5)


def test_a_row_has_every_chunk_and_the_seconds() -> None:
    def measured(number: int, scores: list[float]) -> Trial:
        reports = [(step, {"pq": score}) for step, score in enumerate(scores, 1)]
        metrics = {"pq": scores[-1], "before": 0.5 + number, "chunk": 0.1, "gflops": number / 8}
        return Trial(number, Architecture({"x": number}), TrialState.COMPLETED, metrics, reports)

    row = row_of([measured(0, [1.0, 2.0]), measured(1, [3.0, 4.0]), measured(9, [5.0, 6.0])], "pq")
    assert row == {
        "gflops": [0.0, 0.125, 1.125], "pq": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "before": 1.5, "chunk": 0.1,
    }  # fmt: skip
    assert traces_of(row).chunks == 2


def test_what_comes_before_the_first_chunk_is_told_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 3.0, 4.0, 5.0])
    monkeypatch.setattr("benchmarks.search_worth.parts.traces.time", SimpleNamespace(perf_counter=lambda: next(clock)))

    def evaluate(architecture: Architecture, report: Report) -> dict[str, float]:
        for step in (1, 2, 3):
            report(step, {"pq": float(step), "sq": 1.0})
        return {"pq": 3.0, "sq": 1.0}

    seen: list[tuple[int, Metrics]] = []
    watched = Watched(SimpleNamespace(evaluate=evaluate), "pq")  # type: ignore[arg-type]
    found = watched.evaluate(Architecture({"x": 0}), Heard(seen))
    assert found == {"pq": 3.0, "before": 2.0, "chunk": 1.0}
    assert seen == [(1, {"pq": 1.0}), (2, {"pq": 2.0}), (3, {"pq": 3.0})]


def test_without_several_chunks_nothing_is_watched() -> None:
    def evaluate(architecture: Architecture, report: Report) -> dict[str, float]:
        report(1, {"pq": 1.0})
        return {"pq": 1.0}

    watched = Watched(SimpleNamespace(evaluate=evaluate), "pq")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="nas_val has 1 chunks, and a rule needs several"):
        watched.evaluate(Architecture({"x": 0}), Unheard())
