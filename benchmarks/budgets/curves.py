"""Spaces with the accuracy of every architecture after any number of epochs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autopanoptic.nas import Architecture, Choice, SearchSpace
from benchmarks.strategies.npz import load

FIRST, FULL = 12, 200
"""The epochs after which NAS-Bench-201 has measured."""


@dataclass(frozen=True)
class Curves:
    """A space with the accuracy, in percent, of every architecture after any number of epochs."""

    space: SearchSpace
    accuracy: Callable[[Architecture, int], float]


def made_up() -> Curves:
    """Return curves without a table."""
    space = SearchSpace(Choice(f"c{n}", range(5)) for n in range(8))
    parts = np.random.default_rng(0).exponential(1.0, (8, 5))

    def accuracy(architecture: Architecture, epochs: int) -> float:
        options = [int(option) for option in architecture.values()]
        final = 95 - float(parts[np.arange(8), options].sum())
        own = np.random.default_rng(options)
        speed = own.uniform(0.4, 1.0)
        noise = np.random.default_rng([*options, epochs]).normal(0, 0.2)
        return float(final - (final - 10) * (1 + epochs) ** -speed + noise)

    return Curves(space, accuracy)


def of_table(path: Path) -> Curves:
    """Return the curves of NAS-Bench-201's CIFAR-10."""
    table = load(path)
    early, late = table.column("val12/cifar10"), table.column("val200_single/cifar10")

    def accuracy(architecture: Architecture, epochs: int) -> float:
        row = table.row(architecture)
        left = (epochs**-0.5 - FULL**-0.5) / (FIRST**-0.5 - FULL**-0.5)
        return float(late[row] - (late[row] - early[row]) * left)

    return Curves(table.space, accuracy)
