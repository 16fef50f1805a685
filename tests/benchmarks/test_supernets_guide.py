"""The figures of docs/guide/supernets.md are those of the results that are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def guide() -> str:
    return " ".join((ROOT / "docs/guide/supernets.md").read_text().split())


def kept(name: str) -> Any:
    return json.loads((ROOT / f"benchmarks/results/supernets/{name}.json").read_text())


def test_what_switching_takes(guide: str) -> None:
    found = kept("switching")
    elastic, freeze = found["elastic"], found["freeze"]
    assert f"and {elastic['choices']} choices takes {elastic['activate']['median_ms']:.2f} ms" in guide
    assert f"takes {freeze['median_ms'] / 1e3:.1f} s and allocates {freeze['bytes'] / 1e9:.1f} GB" in guide
    assert found["activate"]["bytes"] == elastic["bytes"] == 0  # "copies and allocates nothing"
    assert found["same_features"]


def test_what_a_sandwich_step_takes(guide: str) -> None:
    steps = kept("sandwich")["in_steps_of_one_path"]
    assert f"with one update took {steps['sandwich step']:.1f} times the mean step" in guide
    assert f"with distillation {steps['sandwich step, distillation']:.1f} times" in guide


def test_what_the_digits_have(guide: str) -> None:
    found = kept("digits")
    assert len(found["runs"]) == 5  # "the means over five seeds"
    rows = [
        "| {mflops:.3f} | {supernet:.2f} % | {alone:.2f} % | {difference:.2f} ± {error:.2f} |".format(**row)
        for row in found["budgets"]
    ]
    assert [row in guide for row in rows] == [True] * len(rows) == [True] * 5, rows
