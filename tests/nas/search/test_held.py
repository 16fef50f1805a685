"""Results that ordered mode holds back when a run is interrupted: none is lost, and none comes before its turn."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autopanoptic.nas import (
    ASHA,
    Architecture,
    Choice,
    Context,
    JournalError,
    RegularizedEvolution,
    Result,
    Search,
    SearchSpace,
    StopTrial,
    TrialState,
)
from autopanoptic.nas.executors.base import Outcome
from autopanoptic.nas.journals.mending import Mending
from benchmarks.scaling.simulated import SimulatedExecutor

SPACE = SearchSpace([Choice("a", range(6)), Choice("b", range(6))])
WORKERS, TRIALS = 3, 14
HELD = 3


class Interrupted(SimulatedExecutor):
    """Raises something when so many evaluations have ended, the second trial's being the longest.

    Args:
        ended: how many; None for any number.
        problem: what it raises.
    """

    def __init__(self, ended: int | None, problem: BaseException | None = None) -> None:
        super().__init__(WORKERS, lambda trial_id: 9.0 if trial_id == 1 else 1.0 + trial_id * 7 % 5)
        self._left, self._problem = ended, problem

    def wait(self, timeout: float | None = None) -> Outcome | None:
        if self._left == 0 and self._problem is not None:
            raise self._problem
        outcome = super().wait(timeout)
        if outcome is not None and self._left is not None:
            self._left -= 1
        return outcome


class Evaluation:
    """Fails some architectures and stops others; knows how often each was evaluated."""

    def __init__(self) -> None:
        self.counts: Counter[Any] = Counter()

    def __call__(self, architecture: Architecture, context: Context) -> float:
        self.counts[architecture, context.repeat, context.budget] += 1
        if architecture["a"] == 2:
            raise ArithmeticError("two")
        if architecture["a"] == 3:
            raise StopTrial
        return float(architecture["a"]) + int(architecture["b"]) / 10 + context.repeat


def known(search: Search) -> list[Any]:
    trials = [(t.architecture, t.state, t.metrics, t.budget, t.evaluations) for t in search.history]
    without_seconds = [(*one[:4], [each.metrics for each in one[4]]) for one in trials]
    return [without_seconds, [trial.id for trial in search.history.finished]]


KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "budgets": {"budget": ASHA(4, reduction=2)},
    "repeats": {"repeats": 2},
    "spread repeats": {"repeats": ASHA(4, reduction=2)},
}


@pytest.mark.parametrize(
    ("kind", "problem", "kept"),
    [
        *((kind, KeyboardInterrupt(), "journal") for kind in KINDS),
        *((kind, KeyboardInterrupt(), "memory") for kind in ("plain", "budgets")),
        ("plain", RuntimeError("broken"), "journal"),
    ],
)
def test_an_interruption_at_any_moment_changes_no_proposal_and_costs_no_result(
    tmp_path: Path, kind: str, problem: BaseException, kept: str
) -> None:
    def make(journal: Path | None, evaluate: Evaluation, executor: SimulatedExecutor) -> Search:
        strategy = RegularizedEvolution(4, 2)
        options: dict[str, Any] = {"executor": executor, "ordered": True, "seed": 3, **KINDS[kind]}
        return Search(SPACE, strategy, evaluate, journal=journal, **options)

    alone = make(None, evaluated := Evaluation(), Interrupted(None))
    alone.run(TRIALS, progress=False)
    assert {t.state for t in alone.history} >= {TrialState.COMPLETED, TrialState.FAILED, TrialState.STOPPED}
    held = 0
    for moment in range(1, sum(evaluated.counts.values())):
        journal = None if kept == "memory" else tmp_path / f"{moment}"
        search = make(journal, evaluate := Evaluation(), Interrupted(moment, problem))
        with pytest.raises(type(problem)):
            search.run(TRIALS, progress=False)
        if journal is not None:
            held += journal.read_text().count('"held"')
            assert list(Result.from_journal(journal).history) == list(search.history)
            assert Mending(journal).to_the_end().problems == []
            search = make(journal, evaluate, Interrupted(None))
        search.executor = Interrupted(None)
        search.run(TRIALS, progress=False)
        assert known(search) == known(alone)
        assert evaluate.counts == evaluated.counts
    assert held or kept == "memory"


def first(architecture: Architecture) -> float:
    return float(architecture["a"])


def interrupted(path: Path) -> Callable[[], Search]:
    """Interrupt a search while the result of trial 3 is held, and return what makes it again."""

    def make(executor: SimulatedExecutor | None = None) -> Search:
        return Search(SPACE, RegularizedEvolution(4, 2), first, executor=executor, ordered=True, journal=path)

    with pytest.raises(KeyboardInterrupt):
        make(Interrupted(2, KeyboardInterrupt())).run(5, progress=False)
    return make


def kinds(path: Path, trial_id: int) -> list[str]:
    events = map(json.loads, path.read_text().splitlines())
    return [event["event"] for event in events if event.get("trial") == trial_id]


def test_a_held_result_is_told_without_another_evaluation(tmp_path: Path) -> None:
    make = interrupted(tmp_path / "j")
    assert kinds(tmp_path / "j", HELD) == ["asked", "held"]
    make().run(5, progress=False)
    assert kinds(tmp_path / "j", HELD) == ["asked", "held", "completed"]


class Unsound(Interrupted):
    """Hands on the metrics of the trial that will be held as NaN, which the package's executors do not."""

    def wait(self, timeout: float | None = None) -> Outcome | None:
        outcome = super().wait(timeout)
        if outcome is None or outcome.trial_id != HELD:
            return outcome
        return replace(outcome, metrics={"value": math.nan})


def test_metrics_that_are_none_are_held_as_what_they_are(tmp_path: Path) -> None:
    def make(path: Path, executor: SimulatedExecutor) -> Search:
        return Search(SPACE, RegularizedEvolution(4, 2), first, executor=executor, ordered=True, journal=path)

    alone = make(tmp_path / "alone", Unsound(None))
    alone.run(5, progress=False)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "j", Unsound(2, KeyboardInterrupt())).run(5, progress=False)
    assert kinds(tmp_path / "j", HELD) == ["asked", "held"]
    again = make(tmp_path / "j", Unsound(None))
    again.run(5, progress=False)
    assert [(t.state, t.error) for t in again.history] == [(t.state, t.error) for t in alone.history]
    assert "must be a finite number" in (again.history[HELD].error or "")


def test_who_asks_for_a_trial_evaluates_it_himself(tmp_path: Path) -> None:
    make = interrupted(tmp_path / "j")
    with make() as search:
        asked = search.ask(3)
        assert [trial.id for trial in asked] == [1, 2, 3]
    make().run(5, progress=False)
    assert kinds(tmp_path / "j", HELD) == ["asked", "held", "restarted", "restarted", "completed"]


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"trial": 0, "metrics": {"value": 1.0}}, "Trial 0 is completed, not running"),
        ({"trial": 9, "metrics": {"value": 1.0}}, "There is no trial 9"),
        ({"trial": 1}, "it holds no result"),
        ({"trial": 1, "metrics": {"value": "1"}}, "it holds no result"),
        ({"trial": 1, "metrics": {"value": 1.0}, "error": "both"}, "it holds no result"),
        ({"trial": 1, "stopped": False}, "it holds no result"),
    ],
)
def test_what_cannot_be_held_is_refused_and_repaired(tmp_path: Path, event: dict[str, Any], message: str) -> None:
    make = interrupted(tmp_path / "j")
    with (tmp_path / "j").open("a") as file:
        print(json.dumps({"event": "held", **event}), file=file)
    with pytest.raises(JournalError, match=message):
        make()
    with pytest.raises(JournalError, match=message):
        Result.from_journal(tmp_path / "j")
    assert len(Mending(tmp_path / "j").to_the_end().problems) == 1
