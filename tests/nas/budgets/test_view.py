"""What a strategy sees of a search with budgets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from autopanoptic.nas import ASHA, Architecture, Choice, History, Objective, SearchSpace, Strategy, TrialState
from autopanoptic.nas.budgets.view import View
from autopanoptic.nas.storage.events import apply
from autopanoptic.strategies.random_search import RandomSearch


def history_of(*events: Any) -> History:
    """Of (kind, trial, budget or None, score or None)."""
    history = History([Objective("score")])
    add(history, *events)
    return history


def add(history: History, *events: Any) -> None:
    for kind, trial, budget, *score in events:
        event: dict[str, Any] = {"event": kind, "trial": trial}
        if kind == "asked":
            event["architecture"] = {"a": trial}
        if budget is not None:
            event["budget"] = budget
        if kind == "failed":
            event["error"] = "broken"
        if score:
            event["metrics"] = {"score": score[0]}
        apply(history, event)


def seen(view: History) -> list[Any]:
    return [(trial.state.value, trial.metrics.get("score")) for trial in view]


FIRST = [("asked", n, 1) for n in range(4)] + [("paused", n, 1, float(n)) for n in range(4)]
"""Four trials at the first rung."""


def test_until_enough_have_come_to_a_budget_it_is_the_first() -> None:
    history = history_of(*FIRST, ("promoted", 3, 3), ("paused", 3, 3, 30.0), ("asked", 4, 1))
    view = View(enough=2).of(history)
    completed = [("completed", 0.0), ("completed", 1.0), ("completed", 2.0), ("completed", 3.0)]
    assert seen(view) == [*completed, ("running", None)]
    assert seen(View(enough=9).of(history)) == seen(view)


def test_it_is_the_largest_that_enough_have_reached() -> None:
    promoted = [("promoted", 3, 3), ("promoted", 2, 3), ("paused", 2, 3, 20.0), ("paused", 3, 3, 30.0)]
    history = history_of(*FIRST, *promoted, ("promoted", 3, 9), ("completed", 3, 9, 300.0))
    view = View(enough=2).of(history)
    # Trial 3 is seen at the budget of the others, and in the order in which they came there.
    assert seen(view) == [("stopped", None), ("stopped", None), ("completed", 20.0), ("completed", 30.0)]
    assert [trial.id for trial in view.completed] == [2, 3]
    assert [trial.id for trial in view.finished] == [0, 1, 2, 3]
    assert seen(View(enough=1).of(history)) == [("stopped", None)] * 3 + [("completed", 300.0)]


def reports(view: History) -> list[Any]:
    return [[(step, metrics["score"]) for step, metrics in trial.reports] for trial in view]


def test_a_trial_that_began_with_more_is_not_compared_with_the_others() -> None:
    # As in Hyperband, where later brackets begin with more.
    history = history_of(*FIRST, ("asked", 4, 9), ("completed", 4, 9, 900.0))
    view = View(enough=5).of(history)
    assert seen(view)[-1] == ("stopped", None)
    assert reports(view)[-1] == [(9, 900.0)]


def test_until_enough_have_come_to_a_budget_it_is_that_of_most_trials() -> None:
    history = history_of(*FIRST[:2], *FIRST[4:6], *(("asked", n, 9) for n in (2, 3, 4)))
    add(history, *(("completed", n, 9, 100.0 * n) for n in (2, 3, 4)))
    assert seen(View(enough=9).of(history)) == [("stopped", None)] * 2 + [("completed", 100.0 * n) for n in (2, 3, 4)]


def test_what_was_measured_at_each_budget_is_shown_as_reports() -> None:
    history = history_of(*FIRST, ("promoted", 3, 3), ("promoted", 2, 3), ("paused", 2, 3, 20.0), ("paused", 3, 3, 30.0))
    view = View(enough=2).of(history)
    assert reports(view) == [[(1, 0.0)], [(1, 1.0)], [(1, 2.0), (3, 20.0)], [(1, 3.0), (3, 30.0)]]


def test_a_trial_is_running_when_it_is_evaluated_for_the_first_time_only() -> None:
    history = history_of(*FIRST, ("promoted", 3, 3), ("asked", 4, 1))
    view = View(enough=2).of(history)
    assert [trial.id for trial in view.running] == [4]
    assert seen(view)[3] == ("completed", 3.0)


def test_what_fails_on_its_way_up_is_seen_where_it_was_measured() -> None:
    history = history_of(*FIRST, ("asked", 4, 1), ("failed", 4, None), ("promoted", 3, 3), ("failed", 3, None))
    assert seen(View(enough=2).of(history))[3:] == [("completed", 3.0), ("failed", None)]
    add(history, ("promoted", 2, 3), ("promoted", 1, 3), ("paused", 2, 3, 20.0), ("paused", 1, 3, 10.0))
    assert seen(View(enough=2).of(history))[2:] == [("completed", 20.0), ("stopped", None), ("failed", None)]


def test_the_view_is_the_same_object_until_a_trial_that_had_ended_is_measured_again() -> None:
    history, view = history_of(*FIRST), View(enough=2)
    first = view.of(history)
    add(history, ("asked", 4, 1), ("paused", 4, 1, 4.0))
    assert view.of(history) is first
    add(history, ("promoted", 4, 3), ("paused", 4, 3, 40.0))
    assert view.of(history) is not first
    assert reports(first)[4] == [(1, 4.0)]
    add(history, ("promoted", 3, 3), ("paused", 3, 3, 30.0))
    second = view.of(history)
    assert second is not first  # two have reached the next budget
    add(history, ("asked", 5, 1), ("paused", 5, 1, 5.0))
    assert view.of(history) is second
    add(history, ("promoted", 5, 3), ("paused", 5, 3, 50.0))
    third = view.of(history)
    assert third is not second  # it was seen as stopped
    add(history, ("promoted", 5, 9), ("completed", 5, 9, 500.0))
    assert view.of(history) is not third  # it has one report more
    assert reports(third)[5] == [(1, 5.0), (3, 50.0)]
    assert reports(view.of(history))[5] == [(1, 5.0), (3, 50.0), (9, 500.0)]
    assert view.of(history.copy()) is not second


class Watching(Strategy):
    """Random search that keeps what it has been shown."""

    def __init__(self) -> None:
        self._shown: list[tuple[History, list[Any], list[Any]]] = []

    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture | None:
        self._shown.append((history, list(history), list(history.finished)))
        return RandomSearch().propose(space, history, rng)


@pytest.mark.parametrize("seed", range(4))
def test_ended_trials_stay_as_they_are_and_a_new_view_shows_the_same(game: Any, seed: int) -> None:
    rng, watching = np.random.default_rng(seed), Watching()
    space = SearchSpace([Choice("a", range(1000))])
    played = game(ASHA(9, enough=4), strategy=watching, space=space)
    views = 0
    for _ in range(120):
        while len(played.running) < 3:
            before = len(watching._shown)
            played.take()
            if len(watching._shown) > before:
                views += 1
                shown = watching._shown[-1][0]
                again = View(4).of(played.search.history.copy())
                # Of the trial that has been begun since only the fresh view knows.
                assert list(shown)[: len(shown)] == list(again)[: len(shown)]
                assert order(shown) == order(again)
        place = int(rng.integers(len(played.running)))
        played.tell(place, None if rng.random() < 0.1 else {"score": float(rng.integers(10))})
    assert views > 40
    assert len({id(shown) for shown, _, _ in watching._shown}) > 3
    for earlier, later in zip(watching._shown, watching._shown[1:], strict=False):
        if earlier[0] is later[0]:
            assert later[2][: len(earlier[2])] == earlier[2]
            ended = [trial for trial in earlier[1] if trial.state is not TrialState.RUNNING]
            assert all(later[1][trial.id] == trial for trial in ended)


def order(history: History) -> Sequence[Any]:
    return [trial.id for trial in history.finished], [trial.id for trial in history.completed]
