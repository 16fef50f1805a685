from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

from autopanoptic.nas import SearchSpace

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "custom_space.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    spec = importlib.util.spec_from_file_location("custom_space", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_space(example: ModuleType) -> None:
    space = SearchSpace.from_module(example.DigitNet())
    assert space.size == 2 * 2 * (4**2 + 4**3 + 4**4) == 1344
    assert f"in {space.size:,} architectures" in example.DigitNet.__doc__


def test_the_digits_are_split_without_overlap(example: ModuleType) -> None:
    parts = example.load()
    assert [len(part) for part in parts] == [1000, 400, 397]
    images = torch.cat([part.tensors[0] for part in parts])
    assert images.shape == (1797, 1, 8, 8)
    assert images.min() == -1
    assert images.max() == 1


def test_the_comparison(example: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with torch.random.fork_rng():
        found = example.main(paths=6, networks=2, epochs_alone=2)
    assert list(found) == ["RandomSearch", "RegularizedEvolution", "Evolution"]
    for path, path_trained, network in found.values():
        assert 50 < path <= 100  # 10 would be guessing
        assert 80 < path_trained <= 100
        assert 80 < network <= 100
    printed = capsys.readouterr().out
    assert "1,344 architectures: best of 6 paths, and of 2 trained networks" in printed
    rows = dict(line.split(maxsplit=1) for line in printed.splitlines()[2:])
    assert {name: [float(percent) for percent in row.split("%")[:-1]] for name, row in rows.items()} == {
        name: [round(percent, 1) for percent in percents] for name, percents in found.items()
    }
