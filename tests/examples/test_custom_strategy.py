from __future__ import annotations

import importlib.util
from pathlib import Path
from statistics import mean
from types import ModuleType

import pytest

from autopanoptic.nas import RandomSearch, Search
from autopanoptic.strategies.testing import CHECKS, Check

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "custom_strategy.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("custom_strategy", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_strategy_conforms(example: ModuleType, check: Check) -> None:
    check(example.HillClimbing)


def test_it_beats_random_search(example: ModuleType) -> None:
    found = example.compare([RandomSearch(), example.HillClimbing()], trials=80, seeds=6)
    climbing, random = found["HillClimbing(explore=0.1)"], found["RandomSearch()"]
    assert mean(climbing) > mean(random) + 0.1


def test_a_fitness_computed_by_hand(example: ModuleType) -> None:
    options = {f"kernel{layer}": 1 for layer in range(5)} | {"kernel0": 7, "dilation0": 4, "kernel1": 3, "dilation1": 2}
    # A field of 1 + 6 x 4 + 2 x 2 = 29 and 49 + 9 + 3 weights.
    assert example.fitness(example.SPACE.canonical(options)) == pytest.approx(-1.119298928 - 0.61)


def test_it_resumes_from_a_journal(example: ModuleType, tmp_path: Path) -> None:
    def search(name: str) -> Search:
        return Search(example.SPACE, example.HillClimbing(), example.fitness, journal=tmp_path / name, seed=3)

    whole = search("whole.jsonl").run(trials=40, progress=False)
    search("parts.jsonl").run(trials=17, progress=False)
    resumed = search("parts.jsonl").run(trials=40, progress=False)
    assert [trial.architecture for trial in resumed.history] == [trial.architecture for trial in whole.history]


def test_the_strategy_is_checked_and_the_table_printed(
    example: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[type] = []
    monkeypatch.setattr(example, "check_strategy", checked.append)  # its checks have tests of their own above
    example.main(trials=10, seeds=1)
    assert checked == [example.HillClimbing]
    printed = capsys.readouterr().out
    assert "100,000 architectures, 10 trials, 1 seeds" in printed
    assert "HillClimbing(explore=0.1)" in printed
