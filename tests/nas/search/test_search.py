from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autopanoptic.nas import (
    Architecture,
    Choice,
    Evolution,
    GridSearch,
    History,
    RandomSearch,
    RegularizedEvolution,
    Result,
    Search,
    SearchError,
    SearchSpace,
    Stopper,
    Strategy,
    Trial,
    TrialState,
)


def value(architecture: Architecture) -> float:
    return sum(option for option in architecture.values() if isinstance(option, int))


def states(history: History) -> list[str]:
    return [trial.state.value for trial in history]


def architectures(search: Search) -> list[Architecture]:
    return [trial.architecture for trial in search.history]


def test_run_finds_the_best(space: SearchSpace) -> None:
    result = Search(space, GridSearch(), value).run()
    assert len(result.history) == space.size == 192
    assert result.best.metrics == {"value": 11.0}
    assert result.best.architecture["size"] == 5


def test_trials_count_those_of_earlier_runs(space: SearchSpace) -> None:
    search = Search(space, RandomSearch(), value)
    assert len(search.run(5).history) == 5
    assert len(search.run(5).history) == 5
    assert len(search.run(8).history) == 8


def test_same_seed_same_search_and_another_seed_another(space: SearchSpace) -> None:
    first, again, other = (Search(space, RandomSearch(), value, seed=seed) for seed in (3, 3, 4))
    for search in (first, again, other):
        search.run(10)
    assert architectures(first) == architectures(again) != architectures(other)


def test_trial_n_gets_the_documented_generator(space: SearchSpace) -> None:
    search = Search(space, RandomSearch(), value, seed=7)
    search.run(3)
    assert search.history[2].architecture == space.sample(np.random.default_rng([7, 2]))


def test_seconds_ends_the_search(space: SearchSpace) -> None:
    result = Search(space, RandomSearch(), lambda a: time.sleep(0.02) or value(a)).run(seconds=0.1)
    assert 1 <= len(result.history) <= 6
    assert result.ended == "seconds"


def test_exhausted_space_ends_the_search_and_says_so(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    space = SearchSpace([Choice("a", [1, 2, 3])])
    with caplog.at_level(logging.WARNING):
        result = Search(space, RegularizedEvolution(2, 2), value, journal=tmp_path / "j").run(10)
    assert len(result.history) == 3
    assert result.ended == "strategy"
    assert "ended after 3 of 10 trials: every architecture of the space has been tried" in caplog.text
    assert Result.from_journal(tmp_path / "j").ended == "strategy"


def test_enough_trials_and_no_limit_warn_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    space = SearchSpace([Choice("a", [1, 2, 3])])
    assert Search(space, GridSearch(), value).run(2).ended == "trials"
    assert Search(space, GridSearch(), value).run().ended == "strategy"
    assert not caplog.text


def test_space_of_one_architecture() -> None:
    for strategy in (RandomSearch(), GridSearch(), RegularizedEvolution(), Evolution()):
        result = Search(SearchSpace([Choice("a", [1])]), strategy, value).run()
        assert len(result.history) == 1, strategy


def test_strategy_and_evaluator_of_the_wrong_kind_are_refused(space: SearchSpace) -> None:
    with pytest.raises(TypeError, match="derives from Strategy"):
        Search(space, RandomSearch, value)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must be a function or have evaluate"):
        Search(space, RandomSearch(), 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs an evaluator"):
        Search(space, RandomSearch()).run(1)


@pytest.mark.parametrize("seed", [-1, 1.5, "a"])
def test_seed_must_be_a_whole_number(space: SearchSpace, seed: Any) -> None:
    with pytest.raises(ValueError, match="seed must be a whole number from 0"):
        Search(space, RandomSearch(), value, seed=seed)


# Initial architectures, strategies of users


def test_initial_architectures_come_first_and_once(space: SearchSpace) -> None:
    first = {"op": "pool", "size": 3, **{f"k{i}": 1 for i in range(6)}}
    second = {**first, "k0": 0}
    search = Search(space, RandomSearch(), value, initial=[first, second, first])
    search.run(10)
    assert architectures(search)[:2] == [space.canonical(first), space.canonical(second)]
    assert len(set(architectures(search))) == 10


def test_initial_architectures_are_checked(space: SearchSpace) -> None:
    with pytest.raises(ValueError, match="lacks choice"):
        Search(space, RandomSearch(), value, initial=[{"op": "pool"}])
    initial = [space.sample(np.random.default_rng(0))]
    with pytest.raises(ValueError, match=r"refused: its cost 'sum' is \d, which breaks 100 <= sum"):
        Search(space, RandomSearch(), value, initial=initial, costs={"sum": value}, constraints={"sum": (100, None)})


def test_initial_architectures_that_are_no_list_of_them_are_refused(space: SearchSpace) -> None:
    one = space.sample(np.random.default_rng(0))
    for given in (one, dict(one), "conv", 3, None):
        with pytest.raises(TypeError, match=r"initial is a list of architectures, .*, not "):
            Search(space, RandomSearch(), value, initial=given)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"initial\[1\] is 3, which is no architecture"):
        Search(space, RandomSearch(), value, initial=[one, 3])  # type: ignore[list-item]


@dataclass(frozen=True)
class Stubborn(Strategy):
    """Proposes one architecture for ever."""

    options: tuple[Any, ...]

    def propose(self, space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture:
        return Architecture(dict(zip([choice.label for choice in space.choices], self.options, strict=False)))


def test_repeated_proposals_end_with_an_error(space: SearchSpace) -> None:
    with pytest.raises(SearchError, match="Stubborn proposed 100 times in a row"):
        Search(space, Stubborn(("pool", 3, 0, 0, 0, 0, 0, 0)), value).run(2)


def test_proposals_outside_the_space_are_refused_and_inactive_choices_dropped(space: SearchSpace) -> None:
    with pytest.raises(ValueError, match="no option 'dense'"):
        Search(space, Stubborn(("dense", 3, 0, 0, 0, 0, 0, 0)), value).run(2)
    search = Search(space, Stubborn(("pool", 3, 0, 0, 0, 0, 0, 0)), value)
    assert len(search.run(1).best.architecture) == 7


# Partial results


class Below(Stopper):
    """Stops trials whose value falls below a limit."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._seen: list[tuple[int, int]] = []

    def should_stop(self, history: History, trial: Trial, step: int, metrics: Any) -> bool:
        assert history[trial.id] is trial
        assert trial.reports[-1] == (step, metrics)
        self._seen.append((trial.id, step))
        return bool(metrics["value"] < self.limit)


def reporting(architecture: Architecture, report: Callable[..., None]) -> float:
    for step in range(3):
        report(step, {"value": value(architecture)})
    return value(architecture)


def test_stopper_ends_trials(space: SearchSpace, tmp_path: Path) -> None:
    stopper = Below(4)
    search = Search(space, RandomSearch(), reporting, stopper=stopper, journal=tmp_path / "j")
    result = search.run(20)
    for trial in result.history:
        low = value(trial.architecture) < 4
        assert trial.state is (TrialState.STOPPED if low else TrialState.COMPLETED)
        assert len(trial.reports) == (1 if low else 3)
    assert {trial.state for trial in result.history} == {TrialState.STOPPED, TrialState.COMPLETED}
    assert states(Result.from_journal(tmp_path / "j").history) == states(result.history)


def test_report_that_is_not_finite_fails_the_trial(space: SearchSpace) -> None:
    def diverging(architecture: Architecture, report: Callable[..., None]) -> float:
        report(1, {"loss": float("inf") if architecture["op"] == "pool" else 1.0})
        return 1.0

    result = Search(space, RandomSearch(), diverging).run(20)
    for trial in result.history:
        failed = trial.architecture["op"] == "pool"
        assert (trial.state is TrialState.FAILED) == failed
        assert not failed or "'loss' is inf" in (trial.error or "")


# Ask and tell


def test_ask_and_tell(space: SearchSpace, tmp_path: Path) -> None:
    with Search(space, RandomSearch(), journal=tmp_path / "j") as search:
        for _ in range(6):
            trial = search.ask()
            assert trial is not None
            assert trial.state is TrialState.RUNNING
            if trial.id == 3:
                ended = search.tell(trial, error="out of memory", seconds=2)
                assert (ended.state, ended.error, ended.seconds) == (TrialState.FAILED, "out of memory", 2)
            else:
                assert search.tell(trial, {"value": value(trial.architecture)}).state is TrialState.COMPLETED
        waiting = search.ask()
    assert waiting is not None
    run = Search(space, RandomSearch(), value)
    run.run(7)
    assert architectures(run) == architectures(search)
    assert states(Result.from_journal(tmp_path / "j").history)[2:] == ["completed", "failed"] + ["completed"] * 2 + [
        "running"
    ]


def test_several_trials_may_be_told_in_any_order(space: SearchSpace) -> None:
    search = Search(space, RandomSearch())
    asked = [search.ask() for _ in range(3)]
    for trial in reversed(asked):
        assert trial is not None
        search.tell(trial, {"value": 1})
    assert [trial.id for trial in search.history.completed] == [2, 1, 0]


def test_tell_is_checked(space: SearchSpace) -> None:
    search = Search(space, RandomSearch())
    trial = search.ask()
    assert trial is not None
    with pytest.raises(ValueError, match="either metrics or an error"):
        search.tell(trial)
    with pytest.raises(ValueError, match="either metrics or an error"):
        search.tell(trial, {"value": 1}, "both")
    with pytest.raises(SearchError, match="without the objective 'value'"):
        search.tell(trial, {"other": 1})
    with pytest.raises(ValueError, match="Trial 0 is not running"):
        search.tell(trial, {"value": 1})
    with pytest.raises(ValueError, match="Trial 5 is not running"):
        search.tell(Trial(5, trial.architecture), {"value": 1})


def test_ask_says_when_to_wait_and_when_it_is_over(space: SearchSpace) -> None:
    search = Search(space, Evolution(population=4, parents=2))
    asked = [search.ask() for _ in range(4)]
    assert search.ask() is None
    for trial in asked:
        assert trial is not None
        search.tell(trial, {"value": value(trial.architecture)})
    assert search.ask() is not None
    assert Search(SearchSpace([Choice("a", [1])]), RandomSearch()).ask() is not None


@pytest.mark.parametrize("name", ["[/val] acc", "[bold]acc", "[link=x]", "a\\[b]"])
def test_progress_shows_the_name_of_an_objective_as_it_is(
    space: SearchSpace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    Search(space, RandomSearch(), lambda _: {name: 1.0}, objectives=name).run(2, progress=True)
    assert f"best {name} 1" in capsys.readouterr().err


def test_progress_is_shown_on_standard_error(space: SearchSpace, capsys: pytest.CaptureFixture[str]) -> None:
    Search(space, RandomSearch(), value).run(5, progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "search: 5 of 5, best value" in shown.err
    assert "best value" in shown.err
    Search(space, RandomSearch(), value).run(5)
    assert capsys.readouterr().err == ""


def test_what_evaluators_print_stays_on_standard_output(space: SearchSpace, capsys: pytest.CaptureFixture[str]) -> None:
    Search(space, RandomSearch(), lambda a: print("epoch 1") or 1.0).run(3, progress=True)
    shown = capsys.readouterr()
    assert shown.out == "epoch 1\n" * 3
    assert "3 of 3" in shown.err


def test_search_runs_in_a_thread(space: SearchSpace, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    search = Search(space, RandomSearch(), value, journal=tmp_path / "j")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(search.run, 5).result()
    assert states(search.history) == ["completed"] * 5


def test_space_beyond_the_range_of_floats() -> None:
    huge = SearchSpace([Choice(f"c{i}", range(10)) for i in range(400)])
    with pytest.raises(SearchError, match=r"100 times in a row .* after 1 trials of a space of 1.000e\+400"):
        Search(huge, Stubborn(tuple([0] * 400)), lambda a: 1.0).run(2)


def test_ten_thousand_trials_are_all_different() -> None:
    space = SearchSpace([Choice(f"c{i}", range(4)) for i in range(10)])
    search = Search(space, RandomSearch(), value)
    search.run(10_000)
    assert len(set(architectures(search))) == 10_000


def test_a_space_is_no_list_of_choices() -> None:
    with pytest.raises(TypeError, match=r"A space is a SearchSpace, such as .* not \[Choice"):
        Search([Choice("a", [1, 2])], RandomSearch(), lambda architecture: 1)  # type: ignore[arg-type]
