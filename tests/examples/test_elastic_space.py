from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from types import ModuleType

import pytest
import torch

from autopanoptic.nas import FlopCount, Supernet, extremes

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "elastic_space.py"
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:GPU available but not used"),
    # Lightning's own use of torch
    pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated:FutureWarning"),
]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    spec = importlib.util.spec_from_file_location("elastic_space", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_space_spans_more_than_six_to_one(example: ModuleType) -> None:
    supernet = Supernet(example.DigitNet())
    flops = FlopCount(supernet, torch.zeros(1, 1, 8, 8))
    ends = extremes(supernet.space, flops)
    assert set(ends.largest.values()) == {3, 5, 12, 32}
    assert ends.smallest == {
        "width1": 4, "width2": 8, "depth1": 1, "depth2": 1, "kernel1.0": 3, "kernel2.0": 3
    }  # fmt: skip
    # Stem and first block at 8x8 pixels, a 2x2 convolution, the second block at 4x4, the classifier.
    assert flops(ends.smallest) == 64 * (9 * 4 + 9 * 4 * 4) + 16 * (4 * 4 * 8 + 9 * 8 * 8) + 8 * 10
    assert flops(ends.largest) > 6 * flops(ends.smallest)


def test_the_digits_are_split_without_overlap(example: ModuleType) -> None:
    parts = example.load(3)
    assert [len(part) for part in parts] == [900, 400, 497]
    images = torch.cat([part.tensors[0] for part in parts])
    assert images.shape == (1797, 1, 8, 8)
    assert images.min() == -1
    assert images.max() == 1
    assert not torch.equal(example.load(4)[0].tensors[1], parts[0].tensors[1])


def test_the_comparison(example: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with torch.random.fork_rng():
        rows = example.main(epochs=3, trials=4, budgets=2)
    (small, from_supernet, alone), (large, *accuracies) = rows
    assert small == pytest.approx(0.022864)
    assert small < large <= 1.951808 + 1e-9
    for percent in (from_supernet, alone, *accuracies):
        assert 30 < percent <= 100  # 10 would be guessing
    printed = capsys.readouterr().out.splitlines()
    assert "1,764 networks; the best of 4 within each budget" in printed[0]
    shown = [[float(word) for word in line.replace(":", "").split() if word[0].isdigit()] for line in printed[2:]]
    for numbers, row, budget in zip(shown, rows, (small, 1.951808), strict=True):
        assert numbers == [round(budget, 2), round(row[0], 2), round(row[1], 1), round(row[2], 1)]
    assert not any(math.isnan(value) for row in rows for value in row)
