"""A plain search space and a small network with every kind of choice."""

from __future__ import annotations

import sys
from typing import Any

import cloudpickle
import pytest
import torch
from torch import Tensor, nn

from autopanoptic.nas import Choice, InputChoice, LayerChoice, ModelSpace, Repeat, SearchSpace, Supernet

# Worker processes cannot import this module by its name.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.fixture
def space() -> SearchSpace:
    """64 + 128 architectures: ``size`` is made while ``op`` is ``"conv"``."""
    choices = [Choice("op", ["pool", "conv"]), Choice("size", (3, 5), ("op", "conv"))]
    return SearchSpace([*choices, *(Choice(f"k{i}", [0, 1]) for i in range(6))])


class Scaled(nn.Module):
    """Takes several arguments, by position and by name."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, scale: float, *, shift: float = 0.0) -> Tensor:
        return self.conv(x) * scale + shift


class Block(nn.Module):
    """Choices in a choice, batch norm, a tied choice, and a tensor that is neither parameter nor buffer."""

    def __init__(self, index: int, channels: int) -> None:
        super().__init__()
        inner = LayerChoice([nn.Identity(), nn.Conv2d(channels, channels, 3, padding=1)], label=f"inner{index}")
        self.op = LayerChoice(
            {
                "one": nn.Conv2d(channels, channels, 1),
                "three": nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)),
                "nested": nn.Sequential(inner, nn.BatchNorm2d(channels)),
            },
            label=f"op{index}",
        )
        self.gate = LayerChoice([nn.ReLU(), nn.Sigmoid()], label="gate", tied=True)
        self.offsets = [torch.arange(3.0)]

    def forward(self, x: Tensor) -> Tensor:
        return self.gate(self.op(x)) + self.offsets[0].sum() / 100


class Net(ModelSpace):
    """A network with all mutable modules, and one block that is registered under two names."""

    def __init__(self, channels: int = 4, classes: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, channels, 3, padding=1)
        self.scaled = LayerChoice({"a": Scaled(channels), "b": Scaled(channels)}, label="scaled")
        self.body = Repeat(lambda index: Block(index, channels), (1, 3), label="depth")
        self.shared = Block(9, channels)
        self.again = self.shared
        self.merge = InputChoice(3, None, "mean", label="merge")
        self.register_buffer("scale", torch.tensor(1.5), persistent=False)
        self.head = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        stem = self.scaled(self.stem(x), 2.0, shift=0.5)
        body = self.body(stem)
        mixed = self.merge([stem, body, self.again(self.shared(body))])
        return self.head(mixed.mean((2, 3)) * self.scale)


@pytest.fixture
def net_class() -> type[ModelSpace]:
    return Net


@pytest.fixture
def supernet() -> Supernet:
    """Of :class:`Net`, its batch-norm statistics moved by a few passes over all paths."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = Supernet(Net())
        _pass_through(found, [torch.randn(4, 1, 8, 8) for _ in range(12)])
    return found


def _pass_through(supernet: Supernet, batches: list[Tensor]) -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    with torch.no_grad():
        for batch in batches:
            supernet.activate(supernet.space.sample(rng))
            supernet(batch)


@pytest.fixture
def images() -> Tensor:
    return torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def no_report() -> Any:
    return lambda step, metrics: None
