"""A small network in which elastic layers stand in choices, in blocks that repeat, and in each other's."""

from __future__ import annotations

import sys

import cloudpickle
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autopanoptic.nas import (
    Concat,
    ElasticBatchNorm2d,
    ElasticConv2d,
    ElasticGroupNorm,
    ElasticLinear,
    Kernel,
    LayerChoice,
    ModelSpace,
    Repeat,
    Size,
    Supernet,
    Width,
)

# Worker processes cannot import this module by its name.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


def normed(given: Size, made: Size, kernel: int | Kernel) -> nn.Module:
    conv = ElasticConv2d(given, made, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, ElasticBatchNorm2d(made), nn.ReLU())


class Bottleneck(nn.Module):
    """Expands the width of its stage, filters each channel or each group, and adds the input."""

    def __init__(self, index: str, width: Size) -> None:
        super().__init__()
        inner, kernel = Width(f"inner{index}", [4, 8, 12]), Kernel(f"kernel{index}", [1, 3, 5])
        self.expand = normed(width, inner, 1)
        self.filter = LayerChoice(
            {
                "depthwise": ElasticConv2d(inner, inner, kernel, padding=kernel // 2, groups="depthwise"),
                "groups": ElasticConv2d(inner, inner, 3, padding=1, groups=inner // 4, padding_mode="replicate"),
                "twice": nn.Sequential(
                    ElasticConv2d(inner, inner * 2, kernel, padding="same", groups="depthwise"),
                    ElasticConv2d(inner * 2, inner, 1),
                ),
                "none": nn.Identity(),
            },
            label=f"filter{index}",
        )
        self.reduce = ElasticConv2d(inner, width, 1)
        self.norm = ElasticGroupNorm(4, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.norm(self.reduce(self.filter(self.expand(x))))


class Stage(nn.Module):
    """A second width inside of an option, of which the blocks stand in their own order."""

    def __init__(self, name: str, given: Size, made: Size) -> None:
        super().__init__()
        width = Width(f"{name}_width", [4, 8])
        self.first = ElasticConv2d(given, width, 3, stride=2, padding=1)
        self.blocks = Repeat(lambda index: Bottleneck(f"{name}{index}", width), (0, 1), label=f"{name}_depth")
        self.last = normed(width, made, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.blocks(self.first(x)))


class Net(ModelSpace):
    """Two branches that are concatenated, one of them with choices three deep."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        width, out = Width("width", [4, 8, 16]), Width("out", [5, 10])
        side = Width("side", [2, 3, 6], ordered=True)  # the first two channels are used once more
        self.stem = normed(1, width, Kernel("kernel", [3, 5, 7]))
        self.side = normed(1, side, 3)
        self.bodies = Repeat(lambda index: Bottleneck(str(index), width), (1, 2), label="depth")
        self.branch = LayerChoice(
            {
                "stage": Stage("stage", width, side * 2),
                "pool": nn.Sequential(nn.AvgPool2d(2), ElasticConv2d(width, side * 2, 1)),
            },
            label="branch",
        )
        self.mixed = Concat(side, side * 2, 2)
        self.norm = ElasticBatchNorm2d(self.mixed)
        self.mix = ElasticConv2d(self.mixed, out, 1)
        self.cat_wise = ElasticConv2d(Concat(out, side), Concat(out, side) * 2, 3, padding=1, groups="depthwise")
        self.head = ElasticLinear(Concat(out, side) * 2 * 16, classes)

    def forward(self, x: Tensor) -> Tensor:
        side = nn.functional.avg_pool2d(self.side(x), 2)
        branch = self.branch(self.bodies(self.stem(x)))
        mixed = self.mix(self.norm(torch.cat([side, branch, side[:, :2]], 1)))
        return self.head(self.cat_wise(torch.cat([mixed, side], 1)).flatten(1))


def trained(network: ModelSpace, *shape: int, passes: int = 12) -> Supernet:
    """Return a supernet of which a few passes over random paths have moved the batch-norm statistics."""
    generator, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
    supernet = Supernet(network)
    with torch.no_grad():
        for _ in range(passes):
            supernet.activate(supernet.space.sample(rng))
            supernet(torch.randn(*shape, generator=generator))
    return supernet


@pytest.fixture
def elastic_class() -> type[ModelSpace]:
    return Net


@pytest.fixture
def elastic() -> Supernet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return trained(Net(), 4, 1, 8, 8)


@pytest.fixture
def pictures() -> Tensor:
    return torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
