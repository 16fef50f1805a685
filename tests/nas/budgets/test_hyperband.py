"""Hyperband's brackets, and who goes on in them."""

from __future__ import annotations

import logging
import random
from collections import Counter
from typing import Any

import pytest

from autopanoptic.nas import Choice, Hyperband, RandomSearch, Search, SearchSpace, Trial

SPACE = SearchSpace([Choice("a", range(1000))])


def test_the_brackets_are_those_of_the_paper() -> None:
    # Li et al. 2018, algorithm 1 with the R = 81 and eta = 3 of their table 1; (n_i, r_i) for s = 4 to 0.
    expected = [
        [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        [(34, 3), (11, 9), (3, 27), (1, 81)],
        [(15, 9), (5, 27), (1, 81)],
        [(8, 27), (2, 81)],
        [(5, 81)],
    ]
    schedule = Hyperband(81)
    assert [list(zip(*bracket, strict=True)) for bracket in schedule.brackets] == expected
    assert schedule.trials == 81 + 34 + 15 + 8 + 5


def test_budgets_that_are_no_powers_are_rounded() -> None:
    assert [bracket.budgets for bracket in Hyperband(100).brackets] == [
        (1, 4, 11, 33, 100),
        (4, 11, 33, 100),
        (11, 33, 100),
        (33, 100),
        (100,),
    ]
    assert [bracket.budgets[0] for bracket in Hyperband(200, min_budget=25, reduction=2).brackets] == [25, 50, 100, 200]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"max_budget": True}, "Hyperband needs max_budget to be a whole number of at least 1, not True"),
        ({"max_budget": 9, "reduction": 1}, "reduction to be a whole number of at least 2, not 1"),
        ({"max_budget": 9, "min_budget": 4}, "min_budget=4 times reduction=3 is above max_budget=9"),
        ({"max_budget": 9, "spread": ""}, "spread to be 'epsilon-net' or 'crowding', not ''"),
        ({"max_budget": 9, "enough": -1}, "enough to be a whole number of at least 1, not -1"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Hyperband(**parameters)


def test_jobs_and_promotions_follow_a_table_worked_out_by_hand(game: Any) -> None:
    # R = 9: nine trials at 1, the best three at 3, the best at 9; then five at 3 and the best at 9; then three at 9.
    scores = [5, 1, 9, 3, 7, 2, 8, 6, 4, *range(10, 18)]
    first = [*((trial, 1) for trial in range(9)), (2, 3), (6, 3), (4, 3), (2, 9)]
    second = [*((trial, 3) for trial in range(9, 14)), (13, 9)]
    third = [(14, 9), (15, 9), (16, 9)]
    played = game(Hyperband(9))
    assert played.play(lambda trial, budget: {"score": scores[trial]}, 22) == first + second + third
    assert played.take() == (17, 1)  # the next round


def test_who_goes_on_is_decided_when_the_whole_rung_is_there(game: Any) -> None:
    played = game(Hyperband(9))
    for _ in range(12):  # three of them are of the next bracket, as nothing is decided of the first
        played.take()
    assert played.jobs[9:] == [(9, 3), (10, 3), (11, 3)]
    for trial in (8, 7, 6, 5, 4, 3, 2):
        played.tell(trial, {"score": float(trial)})
    assert played.take() == (12, 3)
    played.tell(0, {"score": 0.0})
    assert played.take() == (13, 3)
    played.tell(0, {"score": 1.0})
    assert [played.take() for _ in range(4)] == [(8, 3), (7, 3), (6, 3), (14, 9)]


def test_nothing_takes_the_place_of_what_fails(game: Any) -> None:
    played = game(Hyperband(9))
    jobs = played.play(lambda trial, budget: None if trial in (7, 8) or budget == 3 else {"score": float(trial)}, 13)
    # The three best of the seven that were measured; at budget 3 all fail, so that none comes to 9.
    assert jobs[9:] == [(6, 3), (5, 3), (4, 3), (9, 3)]


def test_what_is_given_up_is_what_a_full_rung_leaves_behind(game: Any) -> None:
    hyperband = Hyperband(9)
    played = game(hyperband)
    history = played.search.history
    played.play(lambda trial, budget: {"score": float(trial)}, 8)
    assert hyperband.given_up(history) == []
    played.play(lambda trial, budget: {"score": float(trial)}, 9)
    assert hyperband.given_up(history) == [0, 1, 2, 3, 4, 5]
    played.play(lambda trial, budget: {"score": float(trial)}, 11)
    assert hyperband.given_up(history) == [0, 1, 2, 3, 4, 5]
    played.play(
        lambda trial, budget: {"score": float(trial)}, 18
    )  # the first bracket, and the first rung of the second
    assert hyperband.given_up(history) == [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12]
    assert hyperband.given_up(history.copy()) == hyperband.given_up(history)


def test_what_is_given_up_never_goes_on() -> None:
    hyperband = Hyperband(9)
    search = Search(SPACE, RandomSearch(), budget=hyperband)
    rng, given_up = random.Random(0), set[int]()
    running: list[Trial] = []
    while len(search.history) < 60:
        trial = search.ask() if len(running) < 4 else None
        if trial is None:
            search.tell(running.pop(rng.randrange(len(running))), {"value": rng.random()})
        else:
            assert trial.id not in given_up
            running.append(trial)
        assert given_up <= set(hyperband.given_up(search.history))
        given_up |= set(hyperband.given_up(search.history))
    assert len(given_up) > 20


def test_an_unfinished_bracket_is_told_of_before_the_search(caplog: pytest.LogCaptureFixture) -> None:
    def run(trials: int) -> list[str]:
        caplog.clear()
        search = Search(SPACE, RandomSearch(), lambda a: float(a["a"]), budget=Hyperband(9))
        search.run(trials)
        return caplog.messages

    with caplog.at_level(logging.WARNING):
        assert run(9) == run(14) == run(17) == run(26) == []
        assert run(11) == [
            "Hyperband's last bracket would have 2 of its 5 trials, of which none goes on: take 9 or 14 trials."
        ]
        assert "would have 2 of its 9 trials, of which none goes on: take 17 or 26 trials." in run(19)[0]
        assert run(4)[0].endswith("would have 4 of its 9 trials, of which none goes on: take 9 trials.")


def test_where_the_space_is_exhausted_the_last_bracket_goes_on_with_what_it_has() -> None:
    small = SearchSpace([Choice("a", range(6))])
    search = Search(small, RandomSearch(), lambda a: float(a["a"]), budget=Hyperband(9))
    result = search.run()
    assert result.ended == "strategy"
    assert Counter(result.history[n].reached for n in range(6)) == {1: 4, 3: 1, 9: 1}
    assert result.best.metrics == {"value": 5.0}


def test_three_rounds_run_every_bracket_in_full() -> None:
    search = Search(SPACE, RandomSearch(), lambda a: float(a["a"]), budget=Hyperband(9))
    history = search.run(3 * 17).history
    reached = Counter(result.budget for trial in history for result in trial.rungs)
    assert reached == {1: 3 * 9, 3: 3 * (3 + 5), 9: 3 * (1 + 1 + 3)}
    assert history.n_completed == 15
