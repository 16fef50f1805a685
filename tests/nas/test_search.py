from __future__ import annotations

import json
import logging
import os
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
    Constraint,
    Evolution,
    GridSearch,
    History,
    InfeasibleError,
    Journal,
    JournalError,
    RandomSearch,
    RegularizedEvolution,
    Result,
    Search,
    SearchError,
    SearchSpace,
    Strategy,
    Trial,
    TrialState,
)
from autopanoptic.nas import journal as journal_module


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


# What evaluators return


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ({"value": float("nan")}, "'value' is nan; it must be a finite number"),
        ({"value": float("-inf")}, "-inf"),
        ({"value": np.array([1.0, 2.0])}, "must be a finite number"),
        ({"value": "high"}, "must be a finite number"),
        ({"value": 10**400}, "must be a finite number"),
        ({"value": 1.0, "other": float("nan")}, "'other' is nan"),
        (None, "None"),
    ],
)
def test_metrics_that_cannot_be_ranked_fail_the_trial(space: SearchSpace, returned: Any, message: str) -> None:
    search = Search(space, RandomSearch(), lambda a: returned if len(search.history) == 2 else value(a))
    result = search.run(4)
    assert states(result.history) == ["completed", "failed", "completed", "completed"]
    assert message in (result.history[1].error or "")
    assert result.best.id != 1


def test_numpy_and_torch_scalars_become_floats(space: SearchSpace) -> None:
    import torch

    result = Search(space, RandomSearch(), lambda a: {"value": np.float32(2), "t": torch.tensor(3), "b": True}).run(1)
    assert result.best.metrics == {"value": 2.0, "t": 3.0, "b": 1.0}
    assert {type(number) for number in result.best.metrics.values()} == {float}


def test_missing_objective_ends_the_search_with_both_names(space: SearchSpace, tmp_path: Path) -> None:
    search = Search(space, RandomSearch(), lambda a: {"acc": 1.0}, objectives="accuracy", journal=tmp_path / "j")
    with pytest.raises(SearchError, match=r"returned \['acc'\], without the objective 'accuracy'"):
        search.run(5)
    assert states(Result.from_journal(tmp_path / "j").history) == ["failed"]


def test_failed_trials_keep_their_traceback_and_the_search_goes_on(space: SearchSpace) -> None:
    def sometimes(architecture: Architecture) -> float:
        if architecture["op"] == "pool":
            raise ArithmeticError("no pooling here")
        return 1.0

    result = Search(space, RandomSearch(), sometimes).run(20)
    failed = [trial for trial in result.history if trial.state is TrialState.FAILED]
    assert 0 < len(failed) < 20
    assert all("in sometimes" in (t.error or "") and "no pooling here" in (t.error or "") for t in failed)


def test_search_of_which_everything_fails_stops_early_with_the_first_error(space: SearchSpace) -> None:
    def broken(architecture: Architecture) -> float:
        raise KeyError(f"number {len(search.history) - 1}")

    search = Search(space, RandomSearch(), broken)
    with pytest.raises(SearchError, match=r"All 10 trials failed. The first, trial 0:(.|\n)*number 0"):
        search.run(500)
    assert len(search.history) == 10
    with pytest.raises(SearchError, match="All 3 trials failed"):
        Search(space, RandomSearch(), broken).run(3)


# Objectives, constraints, costs


def test_two_objectives(space: SearchSpace) -> None:
    search = Search(
        space,
        GridSearch(),
        lambda a: {"sum": value(a), "ones": list(a.values()).count(1)},
        objectives={"sum": "max", "ones": "min"},
    )
    front = search.run().pareto()
    assert len(front) == 64
    assert all(trial.architecture.get("size") == 5 for trial in front)


def test_constraint_holds_before_evaluation_and_costs_are_recorded(space: SearchSpace) -> None:
    seen: list[Architecture] = []
    search = Search(
        space,
        RandomSearch(),
        lambda a: seen.append(a) or 1.0,
        costs={"sum": value, "free": lambda a: len(a)},
        constraints={"sum": (3, 6)},
    )
    result = search.run(20)
    assert len(seen) == 20
    assert all(3 <= value(architecture) <= 6 for architecture in seen)
    assert result.history[0].metrics == {"sum": value(seen[0]), "free": len(seen[0]), "value": 1.0}


def test_constraint_needs_a_cost(space: SearchSpace) -> None:
    with pytest.raises(ValueError, match=r"constraint on 'gflops' needs a cost of that name; costs= has \['sum'\]"):
        Search(space, RandomSearch(), value, costs={"sum": value}, constraints=[Constraint("gflops", high=1)])


def test_infeasible_constraint_states_the_acceptance_rate() -> None:
    large = SearchSpace([Choice(f"c{i}", range(10)) for i in range(10)])
    search = Search(large, RandomSearch(), value, costs={"sum": value}, constraints={"sum": (None, -1)})
    with pytest.raises(InfeasibleError, match=r"sum <= -1; 0 of 1000 tried so far satisfied it \(0.00%\)"):
        search.run(5)


def test_infeasible_small_space(space: SearchSpace) -> None:
    search = Search(space, RandomSearch(), value, costs={"sum": value}, constraints={"sum": (100, None)})
    with pytest.raises(InfeasibleError, match="None of the 192 architectures"):
        search.run(5)


def test_each_cost_is_worked_out_once(space: SearchSpace) -> None:
    calls: list[Architecture] = []
    Search(space, GridSearch(), value, costs={"n": lambda a: calls.append(a) or 1}, constraints={"n": (0, 2)}).run()
    assert len(calls) == len(set(calls)) == 192


def test_failing_cost_fails_the_trial_without_evaluating_it(space: SearchSpace) -> None:
    def cost(architecture: Architecture) -> float:
        if architecture["op"] == "pool":
            raise RuntimeError("no such kernel")
        return 1.0

    seen: list[Architecture] = []
    result = Search(space, RandomSearch(), lambda a: seen.append(a) or 1.0, costs={"flops": cost}).run(20)
    failed = [trial for trial in result.history if trial.state is TrialState.FAILED]
    assert len(failed) + len(seen) == 20
    assert failed
    assert all("no such kernel" in (trial.error or "") for trial in failed)


def test_costs_that_all_fail_end_the_search(space: SearchSpace) -> None:
    with pytest.raises(SearchError, match=r"All 10 trials failed(.|\n)*cost could not be worked out"):
        Search(space, RandomSearch(), value, costs={"flops": lambda a: float("nan")}).run(50)


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
    with pytest.raises(ValueError, match=r"has {'sum': .*}, which breaks 100 <= sum"):
        Search(space, RandomSearch(), value, initial=initial, costs={"sum": value}, constraints={"sum": (100, None)})


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


class Below:
    """Stops trials whose value falls below a limit."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.seen: list[tuple[int, int]] = []

    def should_stop(self, history: History, trial: Trial, step: int, metrics: Any) -> bool:
        assert history[trial.id] is trial
        assert trial.reports[-1] == (step, metrics)
        self.seen.append((trial.id, step))
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


# Journals


def test_journal_resumes_to_the_same_search(space: SearchSpace, tmp_path: Path) -> None:
    whole = Search(space, RegularizedEvolution(8, 3), value)
    whole.run(40)
    for trials in (7, 8, 25, 40):
        part = Search(space, RegularizedEvolution(8, 3), value, journal=tmp_path / "j")
        part.run(trials)
    assert architectures(part) == architectures(whole)
    assert states(Result.from_journal(tmp_path / "j").history) == ["completed"] * 40


@pytest.mark.parametrize("cut", range(1, 12))
def test_journal_cut_after_any_record_goes_on_as_if_nothing_had_happened(
    space: SearchSpace, tmp_path: Path, cut: int
) -> None:
    path = tmp_path / "j"

    def search() -> Search:
        return Search(space, RegularizedEvolution(4, 2), reporting, journal=path)

    search().run(12)
    whole = [(t.architecture, t.metrics, t.reports) for t in Result.from_journal(path).history]
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: cut * 4]) + lines[cut * 4][:9])
    search().run(12)
    assert [(t.architecture, t.metrics, t.reports) for t in Result.from_journal(path).history] == whole


def test_finished_journal_is_left_as_it_is(space: SearchSpace, tmp_path: Path) -> None:
    Search(space, RandomSearch(), value, journal=tmp_path / "j").run(5)
    before = (tmp_path / "j").read_bytes()
    result = Search(space, RandomSearch(), value, journal=tmp_path / "j").run(5)
    assert len(result.history) == 5
    assert result.ended == "trials"
    assert (tmp_path / "j").read_bytes() == before


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 1}, "its seed is 0, this one's is 1"),
        ({"strategy": GridSearch()}, r"its strategy is 'RandomSearch\(\)', this one's is 'GridSearch\(\)'"),
        ({"objectives": {"value": "min"}}, "its objectives is {'value': 'max'}"),
        ({"constraints": {"n": (0, 2.0000001)}}, r"its constraints is {'n': \[0, 2\]}, .* {'n': \[0, 2.0000001\]}"),
        ({"initial": [{"op": "pool", **{f"k{i}": 1 for i in range(6)}}]}, "its initial is"),
        (
            {"space": SearchSpace([Choice("op", ["pool", "conv"]), *(Choice(f"k{i}", [0, 1]) for i in range(7))])},
            r"its space is {'label': 'size'.*, this one's is {'label': 'k0'",
        ),
    ],
)
def test_journal_of_another_search_is_refused(
    space: SearchSpace, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    def make(**values: Any) -> Search:
        values = {"space": space, "strategy": RandomSearch(), "constraints": {"n": (0, 2)}, **values}
        return Search(evaluator=value, costs={"n": lambda a: 1}, journal=tmp_path / "j", **values)

    make().run(2)
    make()
    with pytest.raises(JournalError, match=message):
        make(**changed)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"event": "completed", "trial": 7, "metrics": {"value": 1}, "seconds": 1}, "IndexError"),
        ({"event": "completed", "trial": 0, "metrics": {"value": 1}}, "not running"),
        ({"event": "asked", "trial": 9, "architecture": {"op": "pool"}}, "next trial must be running and have id 2"),
        ({"event": "failed"}, "KeyError: 'trial'"),
        ({"event": "promoted", "trial": 1}, "Unknown event 'promoted'"),
    ],
)
def test_journal_that_makes_no_sense_is_refused(
    space: SearchSpace, tmp_path: Path, event: dict[str, Any], message: str
) -> None:
    with Search(space, RandomSearch(), journal=tmp_path / "j") as search:
        for _ in range(2):
            trial = search.ask()
            assert trial is not None
            if trial.id == 0:
                search.tell(trial, {"value": 1})
    with (tmp_path / "j").open("a") as file:
        file.write(json.dumps(event) + "\n")
    with pytest.raises(JournalError, match=message):
        Search(space, RandomSearch(), value, journal=tmp_path / "j")


def test_two_searches_on_one_journal_do_not_mix(space: SearchSpace, tmp_path: Path) -> None:
    first, second = (Search(space, RandomSearch(), value, journal=tmp_path / "j") for _ in range(2))
    first.run(3)
    with pytest.raises(JournalError, match="has changed since this search read it"):
        second.run(3)
    assert len(second.history) == 0
    assert len(Result.from_journal(tmp_path / "j").history) == 3
    first.run(4)

    def nested(architecture: Architecture) -> float:
        with pytest.raises(JournalError, match="being written by another search"):
            Search(space, RandomSearch(), value, journal=tmp_path / "j").run(9)
        return 1.0

    Search(space, RandomSearch(), nested, journal=tmp_path / "j").run(5)
    assert len(Result.from_journal(tmp_path / "j").history) == 5


def test_full_disk_ends_the_search_and_loses_nothing(
    space: SearchSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "j"
    written = journal_module._write

    def full_after_ten(file: Any, line: bytes) -> None:
        written(file, line if len(path.read_text().splitlines()) < 10 else line[:7])
        if len(path.read_text().splitlines()) >= 10 and not path.read_text().endswith("\n"):
            raise OSError(28, "No space left on device")

    search = Search(space, RegularizedEvolution(4, 2), value, journal=path)
    with monkeypatch.context() as patch:
        patch.setattr(journal_module, "_write", full_after_ten)
        with pytest.raises(JournalError, match="No space left on device"):
            search.run(20)
    kept = [trial.architecture for trial in Result.from_journal(path).history]
    assert len(kept) >= 4
    assert kept == architectures(search)
    search.run(20)  # the same object goes on when there is room again
    whole = Search(space, RegularizedEvolution(4, 2), value)
    whole.run(20)
    assert architectures(search) == architectures(whole)
    assert architectures(Search(space, RegularizedEvolution(4, 2), value, journal=path)) == architectures(whole)


def test_interrupt_ends_at_once_and_the_search_goes_on(space: SearchSpace, tmp_path: Path) -> None:
    def interrupted_once(architecture: Architecture) -> float:
        if len(search.history) == 5 and not pressed:
            pressed.append(1)
            raise KeyboardInterrupt
        return value(architecture)

    pressed: list[int] = []
    search = Search(space, RegularizedEvolution(4, 2), interrupted_once, journal=tmp_path / "j")
    with pytest.raises(KeyboardInterrupt):
        search.run(10)
    assert Result.from_journal(tmp_path / "j").ended is None
    assert states(Result.from_journal(tmp_path / "j").history) == ["completed"] * 4 + ["running"]
    assert json.loads((tmp_path / "j").read_text().splitlines()[-1])["event"] == "interrupted"
    whole = Search(space, RegularizedEvolution(4, 2), value)
    whole.run(10)
    resumed = Search(space, RegularizedEvolution(4, 2), value, journal=tmp_path / "j")
    resumed.run(7)
    assert architectures(resumed) == architectures(whole)[:7]
    with pytest.raises(JournalError, match="has changed"):
        search.run(10)


def test_interrupt_while_an_event_is_written_comes_after_it(
    space: SearchSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def pressing(handle: int) -> None:
        sync(handle)
        os.kill(os.getpid(), 2)

    search = Search(space, RandomSearch(), value, journal=tmp_path / "j")
    search.run(2)
    with monkeypatch.context() as patch:
        patch.setattr(journal_module.os, "fsync", pressing)
        with pytest.raises(KeyboardInterrupt):
            search.run(5)
    assert states(Search(space, RandomSearch(), value, journal=tmp_path / "j").history) == states(search.history)
    search.run(5)  # what is in memory and on the disk agree, so the same object may go on
    assert states(search.history) == ["completed"] * 5
    assert len(Journal(tmp_path / "j").events) > 10


def test_progress_is_shown_on_standard_error(space: SearchSpace, capsys: pytest.CaptureFixture[str]) -> None:
    Search(space, RandomSearch(), value).run(5, progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "5/5" in shown.err
    assert "best value" in shown.err
    Search(space, RandomSearch(), value).run(5)
    assert capsys.readouterr().err == ""


def test_what_evaluators_print_stays_on_standard_output(space: SearchSpace, capsys: pytest.CaptureFixture[str]) -> None:
    Search(space, RandomSearch(), lambda a: print("epoch 1") or 1.0).run(3, progress=True)
    shown = capsys.readouterr()
    assert shown.out == "epoch 1\n" * 3
    assert "3/3" in shown.err


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


def test_ten_thousand_trials_take_seconds() -> None:
    space = SearchSpace([Choice(f"c{i}", range(4)) for i in range(10)])
    start = time.perf_counter()
    Search(space, RandomSearch(), value).run(10_000)
    assert time.perf_counter() - start < 15
