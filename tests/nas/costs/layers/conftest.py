"""Networks in which what a layer costs depends on more than its own widths."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from autopanoptic.nas import (
    Concat,
    ElasticBatchNorm2d,
    ElasticConv2d,
    ElasticLinear,
    Kernel,
    LayerChoice,
    ModelSpace,
    Repeat,
    Supernet,
    Width,
)


class Attention(nn.Module):
    """Multiplies matrices in its own forward: positions times positions times channels."""

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(2).transpose(1, 2)
        return (rows @ rows.transpose(1, 2) @ rows).transpose(1, 2).reshape(x.shape)


class Strided(ModelSpace):
    """A stem that may halve the image, kernels without padding, blocks with widths, and a module used twice."""

    def __init__(self) -> None:
        super().__init__()
        width, inner, kernel = Width("width", [2, 4]), Width("inner", [3, 5]), Kernel("kernel", [1, 3])
        self.down = LayerChoice(
            {"keep": nn.Identity(), "halve": nn.AvgPool2d(2), "none": nn.MaxPool2d(1)}, label="down"
        )
        self.stem = ElasticConv2d(1, width, kernel)  # a larger kernel makes a smaller image
        self.norm = ElasticBatchNorm2d(width)
        self.relu = nn.ReLU()
        self.body = LayerChoice(
            {
                "convs": nn.Sequential(ElasticConv2d(width, inner, 3, padding=1), ElasticConv2d(inner, width, 1)),
                "attend": Attention(),
                "deep": nn.Sequential(
                    LayerChoice({"as it is": nn.Identity(), "small": nn.AdaptiveAvgPool2d(3)}, label="size"),
                    LayerChoice(
                        {
                            "one": ElasticConv2d(width, width, 1),
                            "two": nn.Sequential(
                                ElasticConv2d(width, inner, 1), nn.ReLU(), Attention(), ElasticConv2d(inner, width, 1)
                            ),
                        },
                        label="kind",
                    ),
                ),
            },
            label="body",
        )
        self.blocks = Repeat(lambda index: ElasticConv2d(width, width, 3, padding=1), (0, 3), label="depth")
        self.shared = nn.Conv2d(1, 1, 3, padding=1)
        self.maybe = LayerChoice({"no": nn.Identity(), "yes": self.shared}, label="maybe")
        self.head = ElasticLinear(Concat(width, 1), 2)

    def forward(self, x: Tensor) -> Tensor:
        found = self.blocks(self.body(self.relu(self.norm(self.stem(self.down(x))))))
        extra = self.maybe(self.shared(x))
        return self.head(torch.cat([found.mean((2, 3)), extra.mean((2, 3))], 1))


class Together(ModelSpace):
    """Two choices that change the size of the image only together."""

    def __init__(self) -> None:
        super().__init__()
        self.one = LayerChoice({"large": nn.AdaptiveAvgPool2d(4), "small": nn.AdaptiveAvgPool2d(2)}, label="one")
        self.two = LayerChoice({"large": nn.AdaptiveAvgPool2d(4), "small": nn.AdaptiveAvgPool2d(2)}, label="two")
        self.conv = nn.Conv2d(1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        one, two = self.one(x), self.two(x)
        larger = one if one.shape[-1] >= two.shape[-1] else two
        return self.conv(larger).mean((1, 2, 3))


class Rare(ModelSpace):
    """The image is small for one of many architectures."""

    def __init__(self, choices: int = 20) -> None:
        super().__init__()
        self.choices = nn.ModuleList(
            LayerChoice({"large": nn.AdaptiveAvgPool2d(4), "small": nn.AdaptiveAvgPool2d(2)}, label=f"{n}")
            for n in range(choices)
        )
        self.conv = nn.Conv2d(1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(max((choice(x) for choice in self.choices), key=lambda image: image.shape[-1]))


@pytest.fixture
def example() -> Tensor:
    return torch.zeros(1, 1, 8, 8)


@pytest.fixture
def strided() -> Supernet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Supernet(Strided())


@pytest.fixture
def together() -> Supernet:
    return Supernet(Together())


@pytest.fixture
def rare() -> Supernet:
    """A million architectures."""
    return Supernet(Rare())
