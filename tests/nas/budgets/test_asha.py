"""ASHA promotes as the paper says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from autopanoptic.nas import ASHA, TrialState


def test_rungs_are_powers_of_the_reduction_up_to_the_largest_budget() -> None:
    assert ASHA(81).rungs == (1, 3, 9, 27, 81)
    assert ASHA(100, min_budget=2, reduction=4).rungs == (2, 8, 32, 100)
    assert ASHA(81, early_stopping_rate=2).rungs == (9, 27, 81)
    assert ASHA(3).rungs == (1, 3)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"max_budget": 0}, "ASHA needs max_budget to be a whole number of at least 1, not 0"),
        ({"max_budget": 9.0}, "max_budget to be a whole number of at least 1, not 9.0"),
        ({"max_budget": 9, "min_budget": 0}, "min_budget to be a whole number of at least 1, not 0"),
        ({"max_budget": 9, "reduction": 1}, "reduction to be a whole number of at least 2, not 1"),
        (
            {"max_budget": 9, "early_stopping_rate": -1},
            "early_stopping_rate to be a whole number of at least 0, not -1",
        ),
        ({"max_budget": 9, "spread": "wide"}, "spread to be 'epsilon-net' or 'crowding', not 'wide'"),
        ({"max_budget": 9, "enough": 0}, "enough to be a whole number of at least 1, not 0"),
        ({"max_budget": 9, "early_stopping_rate": 2}, "first rung, a budget of 9, is not below max_budget=9"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ASHA(**parameters)


def test_jobs_and_promotions_follow_a_table_worked_out_by_hand(game: Any) -> None:
    # Of the first rung (budget 1) the best third goes on to 3, of that to 9. The comments count the rungs as they are
    # when the job is chosen.
    scores = [5, 1, 9, 3, 7, 2, 8, 6, 4]
    expected = [
        (0, 1),
        (1, 1),
        (2, 1),
        (2, 3),  # 3 at budget 1: the best one goes on
        (3, 1),  # 1 at budget 3: none goes on
        (4, 1),
        (5, 1),
        (4, 3),  # 6 at budget 1: trials 2 and 4
        (6, 1),
        (6, 3),  # 7 at budget 1: trials 2 and 6, so trial 4 should not have gone on; a decision is not revised
        (2, 9),  # 3 at budget 3: trial 2; the highest rung is looked at first
        (7, 1),
        (8, 1),  # 9 at budget 1: trials 2, 6 and 4 have gone on
    ]
    played = game(ASHA(9))
    assert played.play(lambda trial, budget: {"score": scores[trial]}, len(expected)) == expected
    history = played.search.history
    assert [trial.id for trial in history.completed] == [2]
    assert history[2].state is TrialState.COMPLETED
    assert [(result.budget, dict(result.metrics)) for result in history[2].rungs] == [
        (budget, {"score": 9.0}) for budget in (1, 3, 9)
    ]
    assert [(t.id, t.reached) for t in history.paused] == [
        (0, 1),
        (1, 1),
        (3, 1),
        (5, 1),
        (4, 3),
        (6, 3),
        (7, 1),
        (8, 1),
    ]


def test_of_equals_the_one_with_the_smaller_number_goes_on_first(game: Any) -> None:
    played = game(ASHA(2, reduction=2))
    assert played.play(lambda trial, budget: {"score": 1.0}, 6) == [(0, 1), (1, 1), (0, 2), (2, 1), (3, 1), (1, 2)]


def slow_job(
    events: list[tuple[int, int, float]], begun: list[tuple[int, int]], rungs: tuple[int, ...], eta: int
) -> Any:
    """Algorithm 2 of the paper, word by word: ``get_job`` from what was measured and which jobs were begun."""
    for k in range(len(rungs) - 2, -1, -1):
        rung = [(trial, score) for trial, budget, score in events if budget == rungs[k]]
        by_score = sorted(rung, key=lambda entry: (-entry[1], entry[0]))
        candidates = [trial for trial, _ in by_score[: len(rung) // eta]]
        promotable = [trial for trial in candidates if (trial, rungs[k + 1]) not in begun]
        if promotable:
            return promotable[0], rungs[k + 1]
    return len({trial for trial, _ in begun}), rungs[0]


@pytest.mark.parametrize("seed", range(12))
def test_it_decides_as_a_slow_reimplementation_on_random_histories(game: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    eta = int(rng.integers(2, 5))
    schedule = ASHA(int(rng.integers(10, 60)), reduction=eta)
    played, events = game(schedule), list[tuple[int, int, float]]()
    failed = set[int]()
    for _ in range(150):
        while len(played.running) < 4:
            expected = slow_job(events, played.jobs, schedule.rungs, eta)
            assert played.take() == expected
        place = int(rng.integers(len(played.running)))
        trial = played.running[place]
        if rng.random() < 0.1:  # such a trial stays where it was measured before, and never goes on
            failed.add(trial.id)
            played.tell(place, None)
        else:
            score = float(rng.integers(20))  # with ties
            events.append((trial.id, trial.budget.end, score))
            played.tell(place, {"score": score})
    assert failed
    assert len({budget for _, budget, _ in events}) > 2


POINTS = [(5, 1), (4, 4), (2, 2), (1, 5), (3, 3), (0, 0)]
"""Trials 0, 1 and 3 are the front; of the rest trial 4 is the first."""


@pytest.mark.parametrize(
    ("spread", "expected"),
    [
        # Each objective divided by its range in the front, trial 3 is the farthest from trial 0, which comes first.
        ("epsilon-net", [0, 3, 1]),
        # Both ends are infinitely far from their neighbours.
        ("crowding", [0, 3, 1]),
    ],
)
def test_several_objectives_are_promoted_by_fronts_and_spread(game: Any, spread: str, expected: list[int]) -> None:
    played = game(ASHA(2, reduction=2, spread=spread), {"a": "max", "b": "max"})
    for _ in POINTS:
        played.running.append(played.search.ask())
    for a, b in POINTS:
        played.tell(0, {"a": a, "b": b})
    played.jobs.clear()
    assert [played.take() for _ in range(4)] == [(trial, 2) for trial in expected] + [(6, 1)]


def test_the_middle_of_a_front_goes_by_the_net(game: Any) -> None:
    # A front of five, of which two go on: the best of the first objective, then the farthest from it.
    points = [(2, 8), (9, 1), (5, 5), (8, 2), (1, 9)]
    played = game(ASHA(2, reduction=2), {"a": "max", "b": "max"})
    for _ in points:
        played.running.append(played.search.ask())
    for a, b in points:
        played.tell(0, {"a": a, "b": b})
    assert [played.take() for _ in range(3)] == [(1, 2), (4, 2), (5, 1)]


def test_less_is_better_where_the_objective_says_so(game: Any) -> None:
    played = game(ASHA(2, reduction=2), {"loss": "min"})
    assert played.play(lambda trial, budget: {"loss": [3.0, 1.0][trial]}, 3)[-1] == (1, 2)


def test_what_breaks_a_constraint_goes_on_last(game: Any) -> None:
    def score(trial: int, budget: int) -> dict[str, float]:
        return {"score": [9.0, 8.0, 1.0, 2.0][trial], "size": [7.0, 6.0, 5.0, 4.0][trial]}

    played = game(ASHA(2, reduction=2), constraints={"size": (None, 5)})
    # Trial 1 breaks the constraint less than trial 0, and goes on first while there is nothing else.
    assert played.play(score, 6) == [(0, 1), (1, 1), (1, 2), (2, 1), (2, 2), (3, 1)]
    assert played.take() == (3, 2)


@pytest.mark.parametrize("jobs", [1, 4])
def test_failed_trials_are_not_of_a_rung(game: Any, jobs: int) -> None:
    broken: Callable[[int, int], Any] = lambda trial, budget: None if trial < 3 else {"score": float(trial)}  # noqa: E731
    assert game(ASHA(2, reduction=2)).play(broken, 6) == [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (4, 2)]
