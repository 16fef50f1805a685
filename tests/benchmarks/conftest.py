"""The benchmarks are no installed package: they are imported from the root of the repository, as they are run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

Arrays = dict[str, NDArray[Any]]


def additive(arch: NDArray[Any], seed: int) -> NDArray[np.float64]:
    """Return accuracies in percent to which every option adds its own amount, all of them different."""
    rng = np.random.default_rng(seed)
    parts = rng.random((arch.shape[1], arch.max() + 1))
    total: NDArray[np.float64] = parts[np.arange(arch.shape[1]), arch].sum(axis=1)
    return 20 + 15 * total


@pytest.fixture
def arrays() -> Arrays:
    """A table of 81 architectures with every key of the schema."""
    arch = np.stack(np.meshgrid(*[np.arange(3)] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    accuracies = np.stack([additive(arch, seed) for seed in range(3)], axis=1)
    latency = np.stack([1 + arch.sum(axis=1) + 0.01 * np.arange(81), np.full(81, 2.0)], axis=1)
    return {
        "ops": np.array(["skip", "conv3", "conv5"]),
        "edges": np.array(["a", "b", "c", "d"]),
        "arch": arch,
        "datasets": np.array(["cifar10", "cifar100", "ImageNet16-120"]),
        "val12": accuracies - 5,
        "test200": accuracies,
        "cost12_s_c10valid": np.full(81, 100.0),
        "latency_ms": latency,
        "latency_devices": np.array(["gold_6226", "flat"]),
    }


@pytest.fixture
def table_file(arrays: Arrays, tmp_path: Path) -> Path:
    """The table as a file."""
    path = tmp_path / "tiny.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path
