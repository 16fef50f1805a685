"""A schedule of repeats decides which trial is evaluated again."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autopanoptic.nas import (
    ASHA,
    Architecture,
    Choice,
    Context,
    GridSearch,
    Hyperband,
    JournalError,
    ProcessExecutor,
    Racing,
    RandomSearch,
    RegularizedEvolution,
    Result,
    Search,
    SearchSpace,
    TrialState,
)
from autopanoptic.nas.journals.repairing import repair

SPACE = SearchSpace([Choice("a", range(6)), Choice("b", range(6))])
HALVING = ASHA(4, reduction=2)


def noisy(architecture: Architecture, context: Context) -> dict[str, float]:
    assert context.budget is None, "an evaluator is asked for one evaluation at a time"
    return {"value": int(architecture["a"]) + np.random.default_rng(context.seed).normal()}


def seed_of(seed: int, trial: int, repeat: int) -> int:
    return int(np.random.SeedSequence([seed, trial, repeat]).generate_state(1)[0])


def known(trials: Any) -> list[Any]:
    return [(t.id, t.architecture, t.state, t.metrics, [one.metrics for one in t.evaluations]) for t in trials]


def test_the_best_are_evaluated_again_with_seeds_of_their_own() -> None:
    result = Search(SPACE, RandomSearch(), noisy, repeats=HALVING, seed=5, costs={"size": lambda a: 7.0}).run(16)
    history = result.history
    for trial in history:
        contexts = [Context(trial.id, seed=seed_of(5, trial.id, repeat)) for repeat in range(len(trial.evaluations))]
        values = [noisy(trial.architecture, context)["value"] for context in contexts]
        assert [one.metrics["value"] for one in trial.evaluations] == values
        assert len(values) == trial.reached == trial.rungs[-1].budget
        for rung in trial.rungs:
            assert rung.metrics == {"value": pytest.approx(statistics.mean(values[: rung.budget])), "size": 7.0}
        assert trial.metrics == trial.rungs[-1].metrics
        assert trial.seconds == pytest.approx(sum(one.seconds for one in trial.evaluations))
    counts = [trial.reached for trial in history]
    assert (len(counts), counts.count(1)) == (16, 8), "of 16 half go on"
    assert counts.count(4) >= 4, "of these half, or more, as ASHA decides before all have come"
    assert result.best.reached == 4
    assert set(result.best.standard_errors) == {"value"}


def test_evaluations_are_spread_over_the_trials() -> None:
    begun: list[int | None] = []

    def evaluate(architecture: Architecture, context: Context) -> float:
        begun.append(context.trial_id)
        return float(architecture["a"])

    Search(SPACE, GridSearch(), evaluate, repeats=HALVING).run(3)
    assert begun == [0, 1, 0, 2], "trial 0 is the better of two equals; a third does not make two of two"


@pytest.mark.parametrize("strategy", [RandomSearch(), RegularizedEvolution(4, 2)], ids=["random", "evolution"])
@pytest.mark.parametrize("schedule", [HALVING, Hyperband(4, reduction=2)], ids=["asha", "hyperband"])
def test_a_search_that_is_killed_between_any_two_events_goes_on_exactly(
    tmp_path: Path, strategy: Any, schedule: Any
) -> None:
    def make(path: Path) -> Search:
        return Search(SPACE, strategy, noisy, repeats=schedule, journal=path, folder=f"{path}.folders", keep_best=1)

    whole = make(tmp_path / "whole").run(9)
    assert {trial.reached for trial in whole.history} == {1, 2, 4}
    lines = (tmp_path / "whole").read_text().splitlines(keepends=True)
    for count in range(1, len(lines)):
        (tmp_path / f"{count}").write_text("".join(lines[:count]))
        assert known(make(tmp_path / f"{count}").run(9).history) == known(whole.history)
    assert known(Result.from_journal(tmp_path / "whole").history) == known(whole.history)


def test_workers_give_what_one_process_gives_but_for_the_order() -> None:
    search = Search(SPACE, RandomSearch(), noisy, repeats=HALVING, executor=ProcessExecutor(2), ordered=True)
    again = Search(SPACE, RandomSearch(), noisy, repeats=HALVING, executor=ProcessExecutor(2), ordered=True)
    assert known(search.run(10).history) == known(again.run(10).history)


def test_an_evaluation_that_failed_is_made_again_and_those_before_it_count(tmp_path: Path) -> None:
    calls: list[tuple[int | None, int]] = []

    def evaluate(architecture: Architecture, context: Context) -> float:
        calls.append((context.trial_id, context.repeat))
        if calls.count((0, 2)) == 1 and calls[-1] == (0, 2):
            raise RuntimeError("broken")
        return float(context.repeat)

    def make() -> Search:
        return Search(SPACE, GridSearch(), evaluate, repeats=ASHA(4, min_budget=2, reduction=2), journal=tmp_path / "j")

    assert make().run(2).history[0].state is TrialState.FAILED
    trial = make().run(2, retry_failed=True).history[0]
    assert calls == [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (0, 2), (0, 3)]
    assert (trial.state, trial.metrics, len(trial.evaluations)) == (TrialState.COMPLETED, {"value": 1.5}, 4)
    assert trial.seconds == pytest.approx(sum(one.seconds for one in trial.evaluations))


def test_each_evaluation_has_a_folder_of_its_own(tmp_path: Path) -> None:
    names: list[str] = []

    def evaluate(architecture: Architecture, context: Context) -> float:
        names.append("/".join(context.folder.parts[-2:]))
        return 1.0

    Search(SPACE, GridSearch(), evaluate, repeats=ASHA(2, reduction=2), folder=tmp_path).run(2)
    assert names == ["trial-0/repeat-0", "trial-1/repeat-0", "trial-0/repeat-1"]


def test_a_repair_puts_a_lost_promotion_in_with_what_it_kept(tmp_path: Path) -> None:
    path = tmp_path / "j"
    whole = Search(SPACE, RandomSearch(), noisy, repeats=ASHA(2, reduction=2), journal=path).run(4)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if json.loads(line)["event"] != "promoted"))
    repair(path)
    assert known(Result.from_journal(path).history) == known(whole.history)


def test_a_journal_knows_its_schedule(tmp_path: Path) -> None:
    def make(repeats: Any) -> Search:
        return Search(SPACE, GridSearch(), noisy, repeats=repeats, journal=tmp_path / "j")

    make(HALVING).run(2)
    assert len(make(HALVING).history) == 2
    for other in (1, 4, ASHA(4, reduction=3)):
        with pytest.raises(JournalError, match="its repeats is"):
            make(other)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"budget": 3}, r"repeats=ASHA\(max_budget=4, .* decides by itself .*, so budget cannot be given as well"),
        ({"repeat_race": Racing(steps=4, min_chunks=2)}, r"so repeat_race cannot .* or give repeats=4"),
    ],
)
def test_what_makes_no_sense_is_refused(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Search(SPACE, GridSearch(), noisy, repeats=HALVING, **values)
