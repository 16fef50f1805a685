"""Searches with budgets: what evaluators read, what is written down, and that it goes on from anywhere."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from autopanoptic.nas import (
    ASHA,
    NSGA2,
    Architecture,
    Budget,
    Choice,
    Context,
    Evolution,
    FixedBudget,
    GridSearch,
    Hyperband,
    InlineExecutor,
    JournalError,
    LocalSearch,
    ProcessExecutor,
    RandomSearch,
    RegularizedEvolution,
    Report,
    Result,
    Schedule,
    Search,
    SearchSpace,
    Strategy,
    Trial,
    TrialState,
)
from autopanoptic.nas.executors.base import NO_CONTEXT, Outcome
from autopanoptic.nas.journals.mending import Mending

# Worker processes cannot import this module by its name.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

SPACE = SearchSpace(Choice(f"c{n}", range(6)) for n in range(4))


def learn(architecture: Architecture, report: Report, context: Context) -> float:
    """A curve that ends the lower the more the choices differ, and begins noisily; some trials break down."""
    assert context.budget is not None
    start, end = context.budget
    options = [int(option) for option in architecture.values()]
    best, noise = -float(max(options) - min(options)), random.Random(str(options))
    for epoch in range(start + 1, end + 1):
        if epoch == end:
            report(epoch, {"score": best - 3 * noise.random() / epoch})
        if sum(options) % 13 == 12 and epoch == 2:
            raise ArithmeticError("diverged")
    return best - 3 * random.Random(sum(options)).random() / end


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def essence(history: Any) -> list[Any]:
    """What a search has found, without times."""
    return [
        (t.id, t.architecture, t.state, dict(t.metrics), tuple(t.reports), t.budget, [r[:2] for r in t.rungs])
        for t in history
    ]


def order(history: Any) -> list[Any]:
    parts = (history.running, history.paused, history.finished, history.completed)
    return [[trial.id for trial in part] for part in parts]


def decisions(path: Path) -> list[Any]:
    """Which trials were begun and promoted, in order, and with how much."""
    return [
        (event["event"], event["trial"], event["budget"], event.get("architecture"))
        for event in lines_of(path)
        if event["event"] in ("asked", "promoted")
    ]


class Shuffled:
    """Has several evaluations under way in this process, which end in random order."""

    def __init__(self, capacity: int, seed: int) -> None:
        self.capacity, self._rng = capacity, random.Random(seed)

    def start(self, evaluator: Any, on_report: Any, **options: Any) -> None:
        self._inline, self._waiting = InlineExecutor(), list[tuple[int, Architecture, Context]]()
        self._inline.start(evaluator, on_report, **options)

    def submit(self, trial_id: int, architecture: Architecture, context: Context = NO_CONTEXT) -> None:
        self._waiting.append((trial_id, architecture, context))

    def has_begun(self, trial_id: int) -> bool:
        return True

    def wait(self, timeout: float | None = None) -> Outcome | None:
        if timeout == 0 or not self._waiting:
            return None
        self._inline.submit(*self._waiting.pop(self._rng.randrange(len(self._waiting))))
        return self._inline.wait()

    def abandon(self, trial_id: int) -> bool:
        return False

    def stop(self) -> None:
        self._waiting = []


def make(budget: Schedule | int, strategy: Strategy, journal: Path | None = None, **options: Any) -> Search:
    return Search(SPACE, strategy, learn, objectives="score", budget=budget, journal=journal, seed=3, **options)


def test_an_evaluator_is_told_from_where_to_where_it_trains() -> None:
    told: list[Context] = []

    def train(architecture: Architecture, context: Context) -> float:
        told.append(context)
        return float(architecture["c0"])

    Search(SPACE, GridSearch(), train, budget=ASHA(3)).run(3)
    heard = [(context.trial_id, context.budget) for context in told]
    assert heard == [*((n, Budget(0, 1)) for n in range(3)), (0, Budget(1, 3))]


def test_an_evaluator_that_is_an_object_reads_it_from_report() -> None:
    class Training:
        def evaluate(self, architecture: Architecture, report: Report) -> dict[str, float]:
            assert report.context.budget is not None
            return {"value": float(report.context.budget.end)}

    assert Search(SPACE, GridSearch(), Training(), budget=5).run(1).best.metrics == {"value": 5.0}


def test_a_search_without_budgets_has_none() -> None:
    told: list[Context] = []
    Search(SPACE, GridSearch(), lambda a, context: told.append(context) or 1.0).run(2)
    assert [(context.trial_id, context.budget) for context in told] == [(0, None), (1, None)]


@pytest.mark.parametrize("wrong", [True, 2.5, "27", RandomSearch()])
def test_what_is_no_budget_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="A budget is a whole number, or a schedule such as"):
        make(wrong, RandomSearch())
    with pytest.raises(ValueError, match="budget to be a whole number of at least 1, not 0"):
        make(0, RandomSearch())


def test_one_budget_for_all_completes_every_trial(tmp_path: Path) -> None:
    history = make(2, RandomSearch(), tmp_path / "j").run(5).history
    assert {(trial.state, trial.budget) for trial in history} == {(TrialState.COMPLETED, Budget(0, 2))}
    assert lines_of(tmp_path / "j")[0]["schedule"] == repr(FixedBudget(2)) == "FixedBudget(budget=2)"
    # The strategy sees the history itself.
    plain = Search(SPACE, RandomSearch(), lambda a: 1.0, objectives="score", seed=3).run(5).history
    assert [trial.architecture for trial in history] == [trial.architecture for trial in plain]


SCHEDULES: list[Callable[[], Schedule]] = [
    partial(ASHA, 4, reduction=2, enough=4),
    partial(Hyperband, 4, reduction=2, enough=4),
]
STRATEGIES: list[Callable[[], Strategy]] = [
    RandomSearch,
    partial(RegularizedEvolution, population=4, sample=2),
    partial(Evolution, population=4),
    partial(LocalSearch, initial=3),
]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("capacity", [1, 3])
def test_a_search_goes_on_from_any_of_its_events(
    tmp_path: Path,
    schedule: Callable[[], Schedule],
    strategy: Callable[[], Strategy],
    capacity: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.fsync", lambda file: None)  # the events are cut off here, and the disk has its own tests

    def run(path: Path, seed: int = 0) -> Any:
        options: dict[str, Any] = {"executor": Shuffled(capacity, seed), "ordered": True} if capacity > 1 else {}
        return make(schedule(), strategy(), path, **options).run(14, progress=False).history

    whole = run(tmp_path / "whole")
    assert {TrialState.PAUSED, TrialState.COMPLETED} <= {trial.state for trial in whole}
    records = (tmp_path / "whole").read_text().splitlines(keepends=True)
    for count in range(1, len(records)):
        path = tmp_path / "part"
        path.write_text("".join(records[:count]))
        found = run(path, seed=count)
        assert essence(found) == essence(whole), f"killed after {count} events"
        assert decisions(path) == decisions(tmp_path / "whole")
        # What is read back is what the search had in memory.
        again = Result.from_journal(path).history
        assert (essence(again), order(again)) == (essence(found), order(found))
        path.unlink()


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_ordered_results_depend_on_the_capacity_alone(tmp_path: Path, schedule: Callable[[], Schedule]) -> None:
    def run(name: str, executor: Any) -> list[Any]:
        make(schedule(), RandomSearch(), tmp_path / name, executor=executor, ordered=True).run(26)
        return decisions(tmp_path / name)

    first = run("0", Shuffled(3, 0))
    assert all(run(str(seed), Shuffled(3, seed)) == first for seed in (1, 2, 3))
    assert run("one", Shuffled(1, 0)) == run("inline", InlineExecutor()) != first


def test_worker_processes_run_the_same_search(tmp_path: Path) -> None:
    alone = make(ASHA(9), RandomSearch(), executor=Shuffled(2, 0), ordered=True).run(20).history
    found = make(ASHA(9), RandomSearch(), executor=ProcessExecutor(2), ordered=True).run(20).history
    assert essence(found) == essence(alone)


def test_another_schedule_is_another_search(tmp_path: Path) -> None:
    make(ASHA(9), RandomSearch(), tmp_path / "j").run(3)
    with pytest.raises(JournalError, match=r"its schedule is .*ASHA\(max_budget=9.*, this one's is .*max_budget=27"):
        make(ASHA(27), RandomSearch(), tmp_path / "j")
    with pytest.raises(JournalError, match="this one's is None"):
        Search(SPACE, RandomSearch(), objectives="score", journal=tmp_path / "j", seed=3)


def test_a_journal_from_before_there_were_budgets_opens(tmp_path: Path) -> None:
    Search(SPACE, RandomSearch(), lambda a: 1.0, journal=tmp_path / "j").run(2)
    first, *rest = (tmp_path / "j").read_text().splitlines()
    header = {name: value for name, value in json.loads(first).items() if name != "schedule"}
    (tmp_path / "j").write_text("\n".join([json.dumps(header), *rest]) + "\n")
    assert len(Search(SPACE, RandomSearch(), lambda a: 1.0, journal=tmp_path / "j").run(4).history) == 4


def test_a_promoted_trial_that_fails_keeps_what_was_measured_and_may_run_again(tmp_path: Path) -> None:
    healthy = False

    def train(architecture: Architecture, context: Context) -> float:
        assert context.budget is not None
        if context.budget.end == 3 and not healthy:
            raise OSError("the file server does not answer")
        return float(architecture["c3"])

    def search() -> Search:
        return Search(SPACE, GridSearch(), train, budget=ASHA(3), journal=tmp_path / "j")

    history = search().run(3).history
    assert history[2].state is TrialState.FAILED
    assert [result.budget for result in history[2].rungs] == [1]
    healthy = True
    again = search()
    again.run(3, retry_failed=True)
    assert again.history[2].state is TrialState.COMPLETED
    assert again.history[2].budget == Budget(1, 3)
    assert essence(search().history) == essence(again.history)


def test_a_promoted_trial_is_tried_again_as_often_as_a_new_one() -> None:
    attempts: list[Any] = []

    def train(architecture: Architecture, context: Context) -> float:
        attempts.append((context.trial_id, context.budget))
        if len([one for one in attempts if one == attempts[-1]]) < 3:
            raise OSError
        return 1.0

    search = Search(SPACE, GridSearch(), train, budget=ASHA(2, reduction=2), retry_on=OSError, retries=2)
    assert [trial.reached for trial in search.run(2).history] == [2, 1]
    assert len(attempts) == 9


def test_reports_before_a_pause_stay_when_the_evaluation_begins_again() -> None:
    search = make(ASHA(2, reduction=2), GridSearch())
    for _ in range(2):
        trial = search.ask()
        assert trial is not None
        search.report(trial, 1, {"score": 1.0})
        search.tell(trial, {"score": 1.0}, seconds=2.0)
    promoted = search.ask()
    assert promoted is not None
    assert promoted.budget == Budget(1, 2)
    search.report(promoted, 2, {"score": 5.0})
    search._desk.run_again()
    again = search.ask()
    assert again is not None
    assert again.reports == ((1, {"score": 1.0}),)
    ended = search.tell(again, {"score": 6.0}, seconds=3.0)
    assert (ended.state, ended.seconds, ended.metrics) == (TrialState.COMPLETED, 5.0, {"score": 6.0})
    assert [(result.budget, result.seconds, result.reports) for result in ended.rungs] == [(1, 2.0, 1), (2, 5.0, 1)]


def test_promotions_go_on_when_there_are_enough_trials() -> None:
    history = make(ASHA(9), RandomSearch()).run(27).history
    assert len(history) == 27
    assert len([trial for trial in history if trial.reached >= 3 or trial.state is TrialState.FAILED]) >= 9
    assert history.n_completed >= 1


def test_the_result_compares_the_largest_budget_alone() -> None:
    """Trial 0 is the best at budget 1, and has not been measured with more."""

    def train(architecture: Architecture, context: Context) -> dict[str, float]:
        assert context.budget is not None
        number, end = int(architecture["c3"]), context.budget.end
        return {"score": 10.0 * number - 9 * end, "other": -float(number)}

    search = Search(SPACE, GridSearch(), train, objectives={"score": "max", "other": "max"}, budget=ASHA(9))
    assert search.run(2).best.id == 1
    result = search.run(3)  # the net of three that are a front begins with the best score
    assert [(trial.id, trial.reached) for trial in result.history.leading] == [(2, 3)]
    assert (result.best.id, [trial.id for trial in result.pareto()]) == (2, [2])
    assert [row["budget"] for row in result.rows()] == [1, 1, 3]
    assert [trial["budget"] for trial in result.to_json()["trials"]] == [1, 1, 3]
    assert result.best_within({"other": (-5, None)}).id == 2


def test_while_the_leading_trial_runs_on_it_leads() -> None:
    search = make(ASHA(9), GridSearch())
    for score in (1.0, 3.0, 2.0):
        search.tell(search.ask(), {"score": score})  # type: ignore[arg-type]
    promoted = search.ask()
    assert promoted is not None
    assert search.result().best.id == 1
    search.tell(promoted, error="broken")
    # It is not ranked any more, as everywhere, so that those of the first rung are what can be compared.
    assert search.result().best.id == 2


def outcome(trial: Trial) -> Any:
    return (trial.id, trial.state)


@pytest.mark.parametrize("strategy", [*STRATEGIES, partial(NSGA2, population=6)])
def test_any_strategy_can_be_given_budgets(strategy: Callable[[], Strategy]) -> None:
    for schedule in (ASHA(9), Hyperband(9)):
        history = make(schedule, strategy()).run(40).history
        assert len(history) == 40
        assert history.n_completed


def test_the_journals_of_such_searches_are_whole(tmp_path: Path) -> None:
    make(ASHA(9), RandomSearch(), tmp_path / "j").run(26)
    mending = Mending(tmp_path / "j").to_the_end()
    assert mending.problems == []
    assert mending.history is not None
    assert essence(mending.history) == essence(Result.from_journal(tmp_path / "j").history)
