"""A trial may hold several evaluations of its architecture."""

from __future__ import annotations

import json
import math
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
    Evolution,
    GridSearch,
    InlineExecutor,
    JournalError,
    ProcessExecutor,
    Racing,
    RandomSearch,
    Result,
    Search,
    SearchError,
    SearchSpace,
    SuccessiveHalving,
    Trial,
    TrialState,
)
from autopanoptic.nas.executors.base import Outcome
from autopanoptic.nas.journals.repairing import repair
from autopanoptic.nas.search.limits import Limits
from autopanoptic.nas.trials.evaluations import Evaluation, standard_errors

SPACE = SearchSpace([Choice("a", range(6)), Choice("b", range(6))])


def noisy(architecture: Architecture, context: Context) -> dict[str, float]:
    noise = np.random.default_rng(context.seed).normal(size=2)
    return {"value": int(architecture["a"]) + noise[0], "other": noise[1]}


def seeds(seed: int, trial: int, count: int) -> list[int]:
    return [int(np.random.SeedSequence([seed, trial, number]).generate_state(1)[0]) for number in range(count)]


def without_times(trials: Any) -> list[Any]:
    return [(t.id, t.architecture, t.state, t.metrics, [one.metrics for one in t.evaluations]) for t in trials]


def test_metrics_are_means_and_have_standard_errors(tmp_path: Path) -> None:
    search = Search(
        SPACE, RandomSearch(), noisy, repeats=4, seed=5, costs={"size": lambda a: 7.0}, journal=tmp_path / "j"
    )
    result = search.run(3)
    for trial in result.history:
        contexts = [Context(trial.id, seed=seed) for seed in seeds(5, trial.id, 4)]
        expected = [noisy(trial.architecture, context)["value"] for context in contexts]
        assert [one.metrics["value"] for one in trial.evaluations] == expected
        assert trial.metrics["value"] == pytest.approx(statistics.mean(expected), rel=1e-12)
        assert trial.standard_errors["value"] == pytest.approx(statistics.stdev(expected) / 2, rel=1e-12)
        assert trial.metrics["size"] == 7.0
        assert set(trial.standard_errors) == {"value", "other"}
        assert trial.seconds == pytest.approx(sum(one.seconds for one in trial.evaluations))
    assert list(Result.from_journal(tmp_path / "j").history) == list(result.history)


def test_results_show_standard_errors() -> None:
    result = Search(SPACE, GridSearch(), lambda architecture, context: context.repeat, repeats=2).run(1)
    row = result.rows()[0]
    assert (row["value"], row["value (standard error)"]) == (0.5, 0.5)
    found = result.to_json()["trials"][0]
    assert [one["metrics"] for one in found["evaluations"]] == [{"value": 0.0}, {"value": 1.0}]
    assert found["standard_errors"] == {"value": 0.5}
    once = Search(SPACE, GridSearch(), lambda architecture: 1.0).run(1)
    assert once.history[0].evaluations == ()
    assert "value (standard error)" not in once.rows()[0]
    assert "evaluations" not in once.to_json()["trials"][0]


def test_optuna_gets_standard_errors(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    from autopanoptic.nas.results.optuna_export import export_optuna

    Search(SPACE, GridSearch(), lambda architecture, context: context.repeat, repeats=2, journal=tmp_path / "j").run(1)
    assert export_optuna(tmp_path / "j", str(tmp_path / "o.log")).trials[0].user_attrs["value (standard error)"] == 0.5


def test_standard_errors_of_large_numbers_and_of_equal_ones() -> None:
    large = [Evaluation({"x": value}, 0.0) for value in (1e308, -1e308, 1e308)]
    assert standard_errors(large)["x"] == pytest.approx(1e308 * math.sqrt(4 / 3) / math.sqrt(3))
    assert standard_errors([Evaluation({"x": 0.0}, 0.0)] * 3) == {"x": 0.0}
    assert standard_errors([Evaluation({"x": 0.1}, 0.0)] * 3) == {"x": 0.0}
    assert standard_errors([Evaluation({"x": 0.1}, 0.0)]) == {}


@pytest.mark.parametrize("strategy", [RandomSearch(), Evolution(4, 2)], ids=["random", "evolution"])
def test_a_search_that_is_killed_between_any_two_events_goes_on_exactly(tmp_path: Path, strategy: Any) -> None:
    def make(path: Path, evaluate: Any = noisy) -> Search:
        return Search(SPACE, strategy, evaluate, repeats=3, journal=path, folder=f"{path}.folders")

    whole = make(tmp_path / "whole").run(7)
    lines = (tmp_path / "whole").read_text().splitlines(keepends=True)
    for count in range(1, len(lines)):
        path = tmp_path / f"{count}"
        path.write_text("".join(lines[:count]))
        done = [event for event in map(json.loads, lines[:count]) if event["event"] in ("evaluated", "completed")]
        seen: list[tuple[int | None, int]] = []

        def counted(architecture: Architecture, context: Context, seen: Any = seen) -> dict[str, float]:
            seen.append((context.trial_id, context.repeat))
            return noisy(architecture, context)

        assert without_times(make(path, counted).run(7).history) == without_times(whole.history)
        assert seen == [(trial, repeat) for trial in range(7) for repeat in range(3)][len(done) :]


def test_processes_evaluate_as_one_process_does(tmp_path: Path) -> None:
    serial = Search(SPACE, RandomSearch(), noisy, repeats=3).run(5)
    parallel = Search(SPACE, RandomSearch(), noisy, repeats=3, executor=ProcessExecutor(2), ordered=True).run(5)
    assert without_times(parallel.history) == without_times(serial.history)
    assert [trial.id for trial in parallel.history.finished] == list(range(5))


def test_who_tells_of_each_evaluation_learns_when_the_trial_has_ended() -> None:
    search = Search(SPACE, GridSearch(), repeats=2, seed=3)
    trial = search.ask()
    assert trial is not None
    assert search.context_of(trial).seed == seeds(3, 0, 2)[0]
    again = search.tell(trial, {"value": 1.0}, seconds=2.0)
    assert (again.state, again.metrics, len(again.evaluations), again.seconds) == (TrialState.RUNNING, {}, 1, 2.0)
    assert (search.context_of(again).repeat, search.context_of(again).seed) == (1, seeds(3, 0, 2)[1])
    ended = search.tell(again, {"value": 2.0}, seconds=3.0)
    assert (ended.state, ended.metrics, ended.seconds) == (TrialState.COMPLETED, {"value": 1.5}, 5.0)


def test_each_evaluation_has_a_folder_of_its_own_and_finds_it_again(tmp_path: Path) -> None:
    found: list[tuple[str, bool]] = []

    def evaluate(architecture: Architecture, context: Context) -> float:
        found.append((context.folder.name, (context.folder / "epoch").exists()))
        (context.folder / "epoch").touch()
        if len(found) == 2:
            raise KeyboardInterrupt
        return 1.0

    def make() -> Search:
        return Search(SPACE, GridSearch(), evaluate, repeats=3, folder=tmp_path / "f", journal=tmp_path / "j")

    with pytest.raises(KeyboardInterrupt):
        make().run(1)
    make().run(1)
    assert found == [("repeat-0", False), ("repeat-1", False), ("repeat-1", True), ("repeat-2", False)]


def test_a_failure_fails_the_trial_and_its_evaluations_count_when_it_is_tried_again(tmp_path: Path) -> None:
    calls: list[int] = []

    def evaluate(architecture: Architecture, context: Context) -> float:
        calls.append(context.repeat)
        if len(calls) == 2:
            raise RuntimeError("broken")
        return float(context.repeat)

    def make() -> Search:
        return Search(SPACE, GridSearch(), evaluate, repeats=3, journal=tmp_path / "j")

    with pytest.raises(SearchError, match="broken"):
        make().run(1)
    assert Result.from_journal(tmp_path / "j").history[0].state is TrialState.FAILED
    result = make().run(1, retry_failed=True)
    assert calls == [0, 1, 1, 2]
    assert result.history[0].metrics == {"value": 1.0}


def test_each_evaluation_has_all_attempts() -> None:
    calls: list[int] = []

    def evaluate(architecture: Architecture, context: Context) -> float:
        calls.append(context.repeat)
        if calls.count(context.repeat) < 3:
            raise OSError("passes")
        return 1.0

    result = Search(SPACE, GridSearch(), evaluate, repeats=2, retries=2, retry_on=OSError).run(1)
    assert calls == [0, 0, 0, 1, 1, 1]
    assert result.history.n_completed == 1


def test_evaluations_have_the_same_metrics() -> None:
    def evaluate(architecture: Architecture, context: Context) -> dict[str, float]:
        return {"value": 1.0, **({"extra": 1.0} if context.repeat else {})}

    with pytest.raises(SearchError, match=r"gave the metrics \['value'\], but this one gave \['extra', 'value'\]"):
        Search(SPACE, GridSearch(), evaluate, repeats=2).run(1)


def test_a_missing_objective_is_found_with_the_first_evaluation() -> None:
    calls: list[int] = []
    with pytest.raises(SearchError, match="without the objective 'value'"):
        Search(SPACE, GridSearch(), lambda a: calls.append(1) or {"other": 1.0}, repeats=3).run(1)
    assert len(calls) == 1


def test_reports_of_an_evaluation_are_void_when_the_next_begins() -> None:
    seen: list[list[int]] = []

    class Watching(SuccessiveHalving):
        def should_stop(self, history: Any, trial: Trial, step: int, metrics: Any) -> bool:
            seen.append([number for number, _ in trial.reports])
            return super().should_stop(history, trial, step, metrics)

    def evaluate(architecture: Architecture, report: Any) -> float:
        report(1, {"value": 1.0})
        report(2, {"value": 1.0})
        return 1.0

    Search(SPACE, GridSearch(), evaluate, repeats=2, stopper=Watching()).run(1)
    assert seen == [[1], [1, 2], [1], [1, 2]]


def test_each_budget_has_its_evaluations() -> None:
    seen: list[tuple[int | None, int, int]] = []

    def evaluate(architecture: Architecture, context: Context) -> float:
        assert context.budget is not None
        seen.append((context.trial_id, context.budget.end, context.repeat))
        return float(architecture["a"]) + context.repeat

    result = Search(SPACE, RandomSearch(), evaluate, repeats=2, budget=ASHA(4, reduction=2)).run(6)
    for trial in result.history:
        mine = [(budget, repeat) for number, budget, repeat in seen if number == trial.id]
        assert mine == [(rung.budget, repeat) for rung in trial.rungs for repeat in range(2)]
        assert {rung.metrics["value"] for rung in trial.rungs} == {float(trial.architecture["a"]) + 0.5}
    assert result.history.n_completed


def test_an_end_by_grace_leaves_the_evaluations_that_have_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Counting(InlineExecutor):
        results = 0

        def wait(self, timeout: float | None = None) -> Outcome | None:
            found = super().wait(timeout)
            self.results += found is not None
            return found

    executor = Counting()
    with monkeypatch.context() as patch:
        patch.setattr(Limits, "at_an_end", property(lambda self: executor.results == 1))
        search = Search(SPACE, GridSearch(), noisy, repeats=3, executor=executor, journal=tmp_path / "j")
        result = search.run(1)
    assert (result.ended, executor.results) == ("seconds", 1)
    assert (result.history[0].state, len(result.history[0].evaluations)) == (TrialState.RUNNING, 1)
    whole = Search(SPACE, GridSearch(), noisy, repeats=3).run(1)
    again = Search(SPACE, GridSearch(), noisy, repeats=3, journal=tmp_path / "j").run(1)
    assert without_times(again.history) == without_times(whole.history)


def test_a_race_decides_who_is_evaluated_again() -> None:
    def evaluate(architecture: Architecture, context: Context) -> float:
        return float(architecture["a"]) + np.random.default_rng(context.seed).normal() / 100

    race = Racing(steps=6, top=2, min_chunks=2)
    search = Search(SPACE, RandomSearch(), evaluate, repeats=6, repeat_race=race)
    result = search.run(20)
    assert result.history.n_completed == 20
    for trial in result.history:
        better = [t for t in result.history[: trial.id] if t.metrics["value"] > trial.metrics["value"] + 0.5]
        assert len(trial.evaluations) == 6 or len(better) >= 2
        assert len(trial.evaluations) < 6 or len(better) < 2
        assert trial.metrics["value"] == pytest.approx(statistics.mean(e.metrics["value"] for e in trial.evaluations))


def test_a_raced_search_goes_on_exactly(tmp_path: Path) -> None:
    def make(path: Path) -> Search:
        race = Racing(steps=5, top=1, min_chunks=2)
        return Search(SPACE, RandomSearch(), noisy, repeats=5, repeat_race=race, journal=path)

    whole = make(tmp_path / "whole").run(8)
    assert {len(trial.evaluations) for trial in whole.history} != {5}
    lines = (tmp_path / "whole").read_text().splitlines(keepends=True)
    for count in range(2, len(lines), 3):
        (tmp_path / f"{count}").write_text("".join(lines[:count]))
        assert without_times(make(tmp_path / f"{count}").run(8).history) == without_times(whole.history)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"repeats": 0}, "repeats must be a whole number from 1, not 0"),
        ({"repeats": 2.5}, "repeats must be a whole number from 1, not 2.5"),
        ({"repeats": 4, "repeat_race": Racing(steps=5, min_chunks=2)}, "has steps=5, but there are repeats=4"),
        ({"repeats": 4, "repeat_race": SuccessiveHalving()}, r"repeat_race is Racing\(steps=4, min_chunks=2\), not"),
    ],
)
def test_what_makes_no_sense_is_refused(values: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        Search(SPACE, GridSearch(), noisy, **values)


def test_a_journal_knows_its_repeats(tmp_path: Path) -> None:
    Search(SPACE, GridSearch(), noisy, repeats=2, journal=tmp_path / "two").run(1)
    with pytest.raises(JournalError, match="its repeats is"):
        Search(SPACE, GridSearch(), noisy, repeats=3, journal=tmp_path / "two")
    with pytest.raises(JournalError, match="its repeats is"):
        Search(SPACE, GridSearch(), noisy, journal=tmp_path / "two")
    Search(SPACE, GridSearch(), noisy, journal=tmp_path / "one").run(1)
    first, *rest = (tmp_path / "one").read_text().splitlines(keepends=True)
    old = {name: value for name, value in json.loads(first).items() if name != "repeats"}
    (tmp_path / "one").write_text(json.dumps(old) + "\n" + "".join(rest))
    assert len(Search(SPACE, GridSearch(), noisy, journal=tmp_path / "one").run(2).history) == 2


def test_a_repair_keeps_whole_evaluations(tmp_path: Path) -> None:
    path = tmp_path / "j"
    Search(SPACE, GridSearch(), noisy, repeats=3, journal=path).run(3)
    whole = path.read_text().splitlines(keepends=True)
    number = next(n for n, line in enumerate(whole) if json.loads(line).get("trial") == 1 and "evaluated" in line)
    path.write_text("".join([*whole[:number], whole[number][:40] + "\n", *whole[number + 1 :]]))
    assert len(repair(path).mending.problems) == 1
    history = Result.from_journal(path).history
    assert [len(trial.evaluations) for trial in history] == [3, 2, 3]
    assert history.n_completed == 3


def test_means_of_the_largest_numbers_are_within_them() -> None:
    result = Search(SPACE, GridSearch(), lambda a: 1.5e308, repeats=2).run(3)
    assert [trial.metrics for trial in result.history] == [{"value": 1.5e308}] * 3
