from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from autopanoptic.nas import Architecture, FunctionEvaluator, JournalError
from autopanoptic.nas.executors.base import Outcome, run_one

ARCHITECTURE = Architecture({"a": 1})


def outcome_of(function: Callable[..., Any], on_report: Any = lambda *_: False) -> Outcome:
    return run_one(FunctionEvaluator(function), 7, ARCHITECTURE, on_report)


@pytest.mark.parametrize("step", [0.25, 1.0, "1", None, np.float64(2), float("nan")])
def test_a_step_that_is_no_whole_number_is_refused(step: Any) -> None:
    seen: list[int] = []

    def evaluate(architecture: Architecture, report: Any) -> float:
        report(step, {"value": 1.0})
        return 1.0

    outcome = outcome_of(evaluate, lambda trial, number, *_: seen.append(number))
    assert f"ValueError: A report's step must be a whole number, such as an epoch, not {step!r}." in (
        outcome.error or ""
    )
    assert seen == []


@pytest.mark.parametrize("step", [3, np.int64(3), np.uint8(3)])
def test_whole_numbers_of_numpy_are_steps(step: Any) -> None:
    seen: list[int] = []

    def evaluate(architecture: Architecture, report: Any) -> float:
        report(step, {"value": 1.0})
        return 1.0

    assert outcome_of(evaluate, lambda trial, number, *_: seen.append(number)).error is None
    assert seen == [3]
    assert type(seen[0]) is int


def test_an_error_is_told_with_the_classes_it_is_of() -> None:
    def evaluate(architecture: Architecture) -> float:
        raise ConnectionResetError("of the disk")

    outcome = outcome_of(evaluate)
    assert "ConnectionResetError: of the disk" in (outcome.error or "")
    expected = ["ConnectionResetError", "ConnectionError", "OSError", "Exception", "BaseException", "object"]
    assert outcome.error_types == tuple(f"builtins.{name}" for name in expected)


def test_classes_of_errors_have_qualified_names() -> None:
    class Own(Exception):
        pass

    def evaluate(architecture: Architecture) -> float:
        raise Own

    assert outcome_of(evaluate).error_types[0] == f"{Own.__module__}.{Own.__qualname__}"


def test_what_is_no_error_has_no_classes() -> None:
    assert outcome_of(lambda architecture: 1.0).error_types == ()


def full_disk(*_: Any) -> bool:
    raise JournalError("the disk is full")


def reports(architecture: Architecture, report: Any) -> float:
    report(1, {"value": 1.0})
    return 1.0


def reports_and_goes_on(architecture: Architecture, report: Any) -> float:
    try:
        report(1, {"value": 1.0})
    except Exception:
        return 2.0
    raise AssertionError("the report was taken")


@pytest.mark.parametrize("function", [reports, reports_and_goes_on])
def test_a_report_that_cannot_be_written_down_is_no_fault_of_the_architecture(function: Any) -> None:
    with pytest.raises(JournalError, match="the disk is full"):
        outcome_of(function, full_disk)


def test_a_journal_of_the_evaluator_itself_fails_its_trial() -> None:
    def evaluate(architecture: Architecture) -> float:
        raise JournalError("of a search within")

    assert "JournalError: of a search within" in (outcome_of(evaluate).error or "")
