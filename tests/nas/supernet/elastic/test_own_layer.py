"""An elastic layer that a user writes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from autopanoptic.nas import (
    ElasticConv2d,
    ElasticLayer,
    FlopCount,
    ModelSpace,
    ParameterCount,
    Size,
    Supernet,
    Width,
    sort_channels,
)
from autopanoptic.nas.supernet.elastic.sizes import size_of


class ElasticPReLU(ElasticLayer):
    """A slope for each channel and for each channel of a second width, as a matrix."""

    def __init__(self, width: Size, other: Size) -> None:
        super().__init__()
        size, second = size_of(width), size_of(other)
        self.slopes = nn.Parameter(torch.rand(second.largest, size.largest))
        self.register_buffer("shift", torch.rand(size.largest))
        self.register_parameter("none", None)
        self.layout = {"slopes": (second, size), "shift": (size,), "none": (size,)}

    def forward(self, x: Tensor) -> Tensor:
        slopes, shift = self.active_tensor("slopes"), self.active_tensor("shift")
        assert slopes is not None
        assert shift is not None
        assert self.active_tensor("none") is None
        return torch.where(x > 0, x, x * slopes.mean(0).view(-1, 1, 1)) + shift.view(-1, 1, 1)


class Net(ModelSpace):
    def __init__(self) -> None:
        super().__init__()
        a, b = Width("a", [2, 4]), Width("b", [3, 5])
        self.first, self.act, self.last = ElasticConv2d(1, a, 3), ElasticPReLU(a, b), ElasticConv2d(a, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.act(self.first(x)))


def test_it_is_a_layer_like_the_others() -> None:
    supernet, x = Supernet(Net(), inputs=[torch.zeros(1, 1, 5, 5)]), torch.randn(2, 1, 5, 5)
    assert [choice.label for choice in supernet.space.choices] == ["a", "b"]
    parameters, flops = ParameterCount(supernet), FlopCount(supernet)
    for architecture in supernet.space:
        network = supernet.subnet(architecture)
        supernet.activate(architecture)
        assert torch.equal(network(x), supernet(x))
        assert network.get_parameter("act.slopes").shape == (architecture["b"], architecture["a"])
        assert parameters(architecture) == sum(p.numel() for p in network.parameters())
        assert flops(architecture) == 9 * int(architecture["a"]) * 11


def test_its_channels_are_sorted_with_the_others() -> None:
    supernet, x = Supernet(Net()), torch.randn(2, 1, 5, 5)
    supernet.activate({"a": 4, "b": 5})
    before = supernet(x)
    assert "a" in sort_channels(supernet, [x])
    torch.testing.assert_close(supernet(x), before)


def test_channels_that_come_last() -> None:
    supernet = Supernet(Net())
    supernet.module.to(memory_format=torch.channels_last)
    x = torch.randn(2, 1, 5, 5).to(memory_format=torch.channels_last)
    for architecture in supernet.space:
        network = supernet.subnet(architecture)
        supernet.activate(architecture)
        assert torch.equal(network(x), supernet(x))


def test_the_layout_in_memory_stays() -> None:
    width = Width("w", [4, 8])
    conv = ElasticConv2d(width, width, 3).to(memory_format=torch.channels_last)
    for option in width.options:
        width._active = option
        weight = conv.active_tensor("weight")
        assert weight is not None
        assert weight.is_contiguous(memory_format=torch.channels_last)
