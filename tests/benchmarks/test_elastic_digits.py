from __future__ import annotations

import math

import pytest

from benchmarks.elastic_digits import show, summary

RUNS = [[(1.0, 96.0, 97.5), (4.0, 98.0, 98.0)], [(2.0, 97.0, 97.5), (4.0, 99.0, 98.0)]]


def test_budgets_are_averaged_over_the_runs() -> None:
    small, large = summary(RUNS)
    assert small == pytest.approx({"mflops": 1.5, "supernet": 96.5, "alone": 97.5, "difference": -1.0, "error": 0.5})
    assert large == pytest.approx({"mflops": 4.0, "supernet": 98.5, "alone": 98.0, "difference": 0.5, "error": 0.5})
    assert math.isnan(summary(RUNS[:1])[0]["error"])


def test_a_difference_of_one_point_is_within_it(capsys: pytest.CaptureFixture[str]) -> None:
    show(summary(RUNS))
    assert "within 1 point of the network trained alone at 2 of 2 budgets" in capsys.readouterr().out
    show(summary([[(1.0, 96.0, 97.1), (4.0, 98.0, 98.0)]]))
    assert "at 1 of 2 budgets" in capsys.readouterr().out
