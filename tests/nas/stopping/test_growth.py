"""What a report costs does not grow with the reports and trials before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from autopanoptic.nas import (
    Architecture,
    Choice,
    History,
    Racing,
    RandomSearch,
    Search,
    SearchSpace,
    Stopper,
    SuccessiveHalving,
)
from autopanoptic.nas.trials.reports import Reports

SPACE = SearchSpace([Choice("a", range(50)), Choice("b", range(50))])
REPORTS = 300

RULES: list[Stopper] = [
    SuccessiveHalving(min_step=1, reduction=2),
    Racing(REPORTS, top=3),
    Racing(REPORTS, top=3, bound="betting", low=0, high=100),
]


def evaluate(architecture: Architecture, report: Callable[..., None]) -> float:
    for step in range(1, REPORTS + 1):
        report(step, {"value": 20 + float(architecture["a"]) + (step % 3) / step})
    return 20 + float(architecture["a"])


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the partial results that are read, one by one."""
    count = [0]
    getitem, iterate = Reports.__getitem__, Reports.__iter__

    def counted_item(self: Reports, index: Any) -> Any:
        found = getitem(self, index)
        count[0] += len(found) if isinstance(index, slice) else 1
        return found

    def counted_iter(self: Reports) -> Any:
        count[0] += len(self)
        return iterate(self)

    monkeypatch.setattr(Reports, "__getitem__", counted_item)
    monkeypatch.setattr(Reports, "__iter__", counted_iter)
    return count


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_each_report_is_read_a_few_times_only(rule: Stopper, read: list[int]) -> None:
    search = Search(SPACE, RandomSearch(), evaluate, stopper=rule)
    search.run(12)
    reported = sum(len(trial.reports) for trial in search.history)
    assert reported > REPORTS
    # Betting reads a trial's reports again when the threshold moves, which it does not while one trial runs at a time.
    assert read[0] <= 5 * reported


def test_reports_without_a_rule_are_not_read_at_all(read: list[int]) -> None:
    Search(SPACE, RandomSearch(), evaluate).run(3)
    assert read[0] == 0


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_ended_trials_are_read_once(rule: Stopper, monkeypatch: pytest.MonkeyPatch) -> None:
    handed_out = 0

    def counting(name: str) -> None:
        original = getattr(History, name)

        def since(self: History, count: int) -> Any:
            nonlocal handed_out
            found = original(self, count)
            handed_out += len(found)
            return found

        monkeypatch.setattr(History, name, since)

    counting("finished_since")
    counting("completed_since")
    for name in ("completed", "finished"):
        monkeypatch.setattr(History, name, property(lambda self, name=name: pytest.fail(f"{name} was listed")))
    search = Search(SPACE, RandomSearch(), evaluate, stopper=rule)
    trials = [search.ask() for _ in range(30)]
    for trial in trials:
        assert trial is not None
        for step in range(1, 31):
            search.report(trial, step, {"value": float(trial.id)})
        search.tell(trial, {"value": float(trial.id)})
    assert handed_out <= 30
