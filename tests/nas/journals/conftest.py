"""Journals, whole and damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autopanoptic.nas import Architecture, RandomSearch, Search, SearchSpace


def measure(architecture: Architecture, report: Callable[..., Any]) -> dict[str, float]:
    if architecture["k0"] == 1 and architecture["k1"] == 1:
        raise RuntimeError("does not fit")
    report(1, {"accuracy": 0.5})
    return {"accuracy": sum(architecture[f"k{i}"] == 1 for i in range(6)) + 0.25, "latency": len(architecture)}


@pytest.fixture
def journal(space: SearchSpace, tmp_path: Path) -> Path:
    """Of 12 trials, some of which have failed."""
    objectives = {"accuracy": "max", "latency": "min"}
    Search(space, RandomSearch(), measure, objectives=objectives, journal=tmp_path / "j.jsonl", seed=2).run(12)
    return tmp_path / "j.jsonl"
