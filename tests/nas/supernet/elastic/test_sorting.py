"""Sorting channels must not change the largest network."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from autopanoptic.nas import (
    Concat,
    ElasticBatchNorm2d,
    ElasticConv2d,
    ElasticGroupNorm,
    ElasticLinear,
    LayerChoice,
    ModelSpace,
    Size,
    Supernet,
    Width,
    sort_channels,
)


class Net(ModelSpace):
    """Residuals, depthwise layers, a concatenation, two group norms of one width, and a flattened image."""

    def __init__(self) -> None:
        super().__init__()
        a, b, c = Width("a", [4, 8, 16]), Width("b", [3, 6]), Width("c", [2, 5])
        self.stem = ElasticConv2d(2, a, 3, padding=1)
        self.norm = ElasticBatchNorm2d(a)
        self.depthwise = ElasticConv2d(a, a * 2, 3, padding=1, groups="depthwise")
        self.reduce = LayerChoice(
            {"one": ElasticConv2d(a * 2, a, 1), "three": ElasticConv2d(a * 2, a, 3, padding=1)}, label="op"
        )
        self.coarse, self.fine = ElasticGroupNorm(4, a), ElasticGroupNorm(8, a)
        self.side = ElasticConv2d(2, b, 1)
        self.mix = ElasticConv2d(Concat(a, b, 2), c, 1, bias=False)
        self.mixed = ElasticBatchNorm2d(Concat(c, b))
        self.hidden = ElasticLinear(Concat(c, b) * 16, Width("d", [2, 7]))
        self.head = ElasticLinear(Width("d", [2, 7]), 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.stem(x)).relu()
        y = self.fine(self.coarse(y + self.reduce(self.depthwise(y)))).relu()
        side = self.side(x)
        y = self.mixed(torch.cat([self.mix(torch.cat([y, side, x], 1)), side], 1))
        return self.head(self.hidden(y.flatten(1)).relu())


def randomised(network: ModelSpace) -> Supernet:
    """Return a supernet whose every parameter and statistic is different."""
    generator = torch.Generator().manual_seed(0)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1)
    return Supernet(network.eval())


def outputs(supernet: Supernet, images: Tensor, option: int = -1) -> list[Tensor]:
    found = []
    for op in ("one", "three"):
        values = {choice.label: choice.options[option] for choice in supernet.space.choices}
        supernet.activate({**values, "op": op} if "op" in values else values)
        found.append(supernet(images).detach())
    return found


def pictures() -> Tensor:
    return torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("inputs", [[], [pictures()]])
def test_the_largest_network_stays_what_it_is(inputs: list[Tensor]) -> None:
    supernet = randomised(Net())
    largest, smallest = outputs(supernet, pictures()), outputs(supernet, pictures(), 0)
    weights = copy.deepcopy(supernet.module.state_dict())
    assert sorted(sort_channels(supernet, inputs)) == ["a", "b", "c", "d"]
    for name, value in supernet.module.state_dict().items():
        assert name in ("head.bias",) or value.ndim == 0 or not torch.equal(value, weights[name]), name
    for before, after in zip(largest, outputs(supernet, pictures()), strict=True):
        torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5 * float(before.abs().max()))
    for before, after in zip(smallest, outputs(supernet, pictures(), 0), strict=True):
        assert not torch.allclose(after, before)


def test_the_nested_network_stays_what_it_is(elastic: Supernet, pictures: Tensor) -> None:
    elastic.module.eval()
    values = {choice.label: choice.options[-1] for choice in elastic.space.choices}
    elastic.activate({**values, "branch": "stage"})
    before = elastic(pictures)
    done = sort_channels(elastic, [pictures])
    assert {"width", "out", "stage_width"} <= set(done)
    assert not {"side", "inner0"} & set(done)
    torch.testing.assert_close(elastic(pictures), before, rtol=1e-5, atol=1e-5)


def importance(supernet: Supernet) -> Tensor:
    """Return the norms of the channels of ``a`` over the layers that make them."""
    module: Any = supernet.module
    layers = [module.stem, module.reduce["one"], module.reduce["three"]]
    own = sum(layer.weight.abs().flatten(1).sum(1) for layer in layers)
    return (own + module.depthwise.weight.abs().flatten(1).sum(1).view(16, 2).sum(1)).detach()


def test_important_channels_come_first_group_by_group() -> None:
    supernet = randomised(Net())
    expected = importance(supernet).view(4, 2, 2)
    expected = expected.sort(dim=2, descending=True).values
    inner = expected.sum(2).argsort(dim=1, descending=True)
    expected = torch.stack([group[order] for group, order in zip(expected, inner, strict=True)])
    expected = expected[expected.sum((1, 2)).argsort(descending=True)]
    sort_channels(supernet)
    torch.testing.assert_close(importance(supernet), expected.flatten())


def test_sorting_again_changes_nothing() -> None:
    supernet = randomised(Net())
    sort_channels(supernet)
    before = copy.deepcopy(supernet.module.state_dict())
    sort_channels(supernet)
    assert all(torch.equal(value, before[name]) for name, value in supernet.module.state_dict().items())


class Chain(ModelSpace):
    """Two layers and what stands between them."""

    def __init__(self, width: Callable[[], Size], between: Callable[[Tensor], Tensor], **further: Any) -> None:
        super().__init__()
        size = width()
        self.first, self.second = ElasticConv2d(2, size, 1), ElasticConv2d(size, 2, 1)
        self.between = between
        for name, layer in further.items():
            self.add_module(name, layer(size))

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        for name, layer in self.named_children():
            y = y if name in ("first", "second") else layer(y)
        return self.second(self.between(y))


def shuffle(x: Tensor) -> Tensor:
    return x.view(len(x), 2, -1, *x.shape[2:]).transpose(1, 2).reshape(x.shape)


def flipped(x: Tensor) -> Tensor:
    return x + x.flip(1)


def same(x: Tensor) -> Tensor:
    return x


def test_an_order_that_matters_is_found_and_put_back() -> None:
    supernet = randomised(Chain(lambda: Width("w", [2, 4]), flipped))
    before = copy.deepcopy(supernet.module.state_dict())
    with pytest.raises(ValueError, match=r"order of the channels of \['w'\].*ordered=True"):
        sort_channels(supernet, [pictures()])
    assert all(torch.equal(value, before[name]) for name, value in supernet.module.state_dict().items())


@pytest.mark.parametrize(
    ("width", "between", "further"),
    [
        (lambda: Width("w", [2, 4], ordered=True), flipped, {}),
        (lambda: Width("w", [2, 4], ordered=True), shuffle, {}),
        (lambda: Width("w", [4]), flipped, {}),
        (lambda: Width("w", [4, 8]) // 2, flipped, {}),
        (lambda: Width("w", [2, 4]), same, {"grouped": lambda w: ElasticConv2d(w, w, 1, groups=w // 2)}),
        (
            lambda: Width("w", [6, 12]),
            same,
            {"two": lambda w: ElasticGroupNorm(6, w), "three": lambda w: ElasticGroupNorm(4, w)},
        ),
    ],
)
def test_what_has_an_order_is_left_alone(width: Any, between: Any, further: Any) -> None:
    supernet = randomised(Chain(width, between, **further))
    before = copy.deepcopy(supernet.module.state_dict())
    assert sort_channels(supernet, [pictures()]) == ()
    assert all(torch.equal(value, before[name]) for name, value in supernet.module.state_dict().items())


class Tied(ModelSpace):
    """Two layers that share a weight, and two that share one with other sizes."""

    def __init__(self) -> None:
        super().__init__()
        a, b = Width("a", [2, 4]), Width("b", [2, 4])
        self.first, self.again = ElasticConv2d(2, a, 1), ElasticConv2d(2, a, 1)
        self.again.weight = self.first.weight
        self.other, self.unlike = ElasticConv2d(2, b, 1), ElasticConv2d(2, 4, 1)
        self.unlike.weight = self.other.weight
        self.last = ElasticConv2d(Concat(a, a, b, 4), 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.cat([self.first(x), self.again(x), self.other(x), self.unlike(x)], 1))


def test_tied_weights() -> None:
    supernet = randomised(Tied())
    before = outputs(supernet, pictures())
    assert sort_channels(supernet) == ("a",)
    for old, new in zip(before, outputs(supernet, pictures()), strict=True):
        torch.testing.assert_close(new, old)
    network: Any = supernet.subnet(supernet.active)
    assert network.first.weight is network.again.weight
