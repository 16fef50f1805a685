"""Widths that a network's constructor compares, or that come from outside of it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autopanoptic.nas import Concat, ElasticLinear, ModelSpace, Supernet, Width


class Projected(ModelSpace):
    """Residual layers, with a projection where the widths are not the same."""

    def __init__(self) -> None:
        super().__init__()
        a, b = Width("a", [2, 4]), Width("b", [2, 4, 6])
        self.layers, self.projections = nn.ModuleList(), nn.ModuleList()
        for given, made in [(a, a), (a, b), (b, Concat(a, 2)), (Concat(a, 2), b)]:
            self.layers.append(ElasticLinear(given, made))
            self.projections.append(ElasticLinear(given, made) if given != made else nn.Identity())
        self.stem, self.head = ElasticLinear(2, a), ElasticLinear(b, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for layer, projection in zip(self.layers, self.projections, strict=True):
            x = layer(x) + projection(x)
        return self.head(x)


def test_a_constructor_that_compares_widths_builds_the_same_for_every_architecture() -> None:
    x = torch.ones(1, 2)
    supernet = Supernet(Projected(), inputs=[x])
    for architecture in supernet.space:
        supernet.activate(architecture)
        assert torch.equal(supernet.subnet(architecture)(x), supernet(x))


class Outside(ModelSpace):
    """Is given its width."""

    def __init__(self, width: Any) -> None:
        super().__init__()
        self.layer = ElasticLinear(2, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


def test_a_width_from_outside_is_refused_where_a_second_network_would_share_it() -> None:
    supernet = Supernet(Outside(Width("w", [2, 4])))
    for build in (supernet.meta, lambda: supernet.subnet({"w": 2})):
        with pytest.raises(RuntimeError, match=r"Width\('w', \[2, 4\]\) was made outside of the network's constructor"):
            build()


def test_one_width_in_two_networks_is_refused() -> None:
    width = Width("w", [2, 4])
    first = Supernet(Outside(width))
    with pytest.raises(ValueError, match=r"Width\('w', \[2, 4\]\) is in two networks"):
        Supernet(Outside(width))
    assert Supernet(first.module).space == first.space
    assert Supernet(copy.deepcopy(first.module)).space == first.space
