from __future__ import annotations

from functools import partial
from itertools import pairwise, starmap

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autopanoptic.nas import (
    ElasticConv2d,
    ElasticLayer,
    ElasticLinear,
    FlopCount,
    InputChoice,
    LayerChoice,
    LayerCosts,
    ModelSpace,
    ParameterCount,
    Repeat,
    Supernet,
    Width,
)


class Nested(ModelSpace):
    """Stages of elastic blocks; a stage is one of two kinds, and each block has its own widths."""

    def __init__(self) -> None:
        super().__init__()
        widths = [Width(f"width{n}", [4, 6, 8]) for n in range(3)]
        self.stem = ElasticConv2d(1, widths[0], 3, padding=1)
        self.stages = nn.ModuleList(self.stage(n, widths[n], widths[n + 1]) for n in range(2))
        self.head = ElasticLinear(widths[2], 10)

    def stage(self, number: int, given: Width, made: Width) -> nn.Module:
        def block(index: int) -> nn.Module:
            inner = Width(f"inner{number}_{index}", [2, 4, 8])
            return nn.Sequential(ElasticConv2d(made, inner, 3, padding=1), nn.ReLU(), ElasticConv2d(inner, made, 1))

        blocks = Repeat(block, (1, 3), label=f"depth{number}")
        plain = ElasticConv2d(given, made, 5, padding=2, stride=2)
        deep = nn.Sequential(ElasticConv2d(given, made, 3, padding=1, stride=2), blocks)
        return LayerChoice({"plain": plain, "deep": deep}, label=f"stage{number}")

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return self.head(x.mean((2, 3)))


class Untrue(ModelSpace):
    """Its forward leaves the blocks' conditions out of account."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Repeat(lambda index: nn.Conv2d(1, 1, 1), (0, 2), label="depth")

    def forward(self, x: Tensor) -> Tensor:
        for block in self.body.blocks:
            x = block(x)
        return x


class Taking(ModelSpace):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.take = InputChoice(2, label="take")

    def forward(self, x: Tensor) -> Tensor:
        return self.take([x, self.layer(x)])


@pytest.mark.parametrize(("which", "times"), [("strided", 80), ("nested", 300)])
def test_they_equal_whole_counts(which: str, times: int, strided: Supernet, example: Tensor) -> None:
    supernet = strided if which == "strided" else Supernet(Nested())
    costs, flops, parameters = LayerCosts(supernet, example), FlopCount(supernet, example), ParameterCount(supernet)
    rng = np.random.default_rng(0)
    for _ in range(times):
        architecture = supernet.space.sample(rng)
        assert costs(architecture) == flops(architecture)
        assert costs.parameters(architecture) == parameters(architecture)


def test_thousands_of_architectures_take_some_dozens_of_passes(example: Tensor) -> None:
    supernet = Supernet(Nested())
    costs, rng = LayerCosts(supernet, example), np.random.default_rng(0)
    assert supernet.space.size > 40_000
    for _ in range(2_000):
        costs(supernet.space.sample(rng))
    # Each option is met three times, a stage's blocks only with one of its kinds; and 23 sums are compared.
    assert costs.passes < 60
    before = costs.passes
    costs.parameters(supernet.space.sample(rng))
    for _ in range(2_000):  # of which the 2,048th sum is compared
        costs(supernet.space.sample(rng))
    assert costs.passes - before <= 2


def test_what_decides_a_layer(strided: Supernet, example: Tensor) -> None:
    layers = LayerCosts(strided, example).layers
    assert set(layers["stem"]) == {"width", "kernel", "down"}
    assert set(layers["body.convs.0"]) == {"width", "inner", "kernel", "down"}, "the size of its image as well"
    assert set(layers["body.attend"]) == {"width", "kernel", "down"}, "found by what it is given: it did not run"
    assert set(layers["body.deep.1.one"]) == {"width", "kernel", "down", "size"}
    assert {"inner", "kernel", "down", "size"} <= set(layers["body.deep.1.two.2"])
    assert set(layers["shared"]) == {"maybe"}, "it may run twice"
    assert set(layers["head"]) == {"width"}


def test_each_layer_of_an_architecture(strided: Supernet, example: Tensor) -> None:
    options = {"down": "halve", "width": 4, "kernel": 1, "body": "attend", "depth": 2, "maybe": "no"}
    architecture = strided.space.without_inactive({**options, "inner": 3, "size": "small", "kind": "one"})
    costs = LayerCosts(strided, example, unit=2.0)
    found = costs.of_layers(architecture)
    block = 4 * 4 * 4 * 4 * 9
    expected = {"stem": 4 * 16, "body.attend": 2 * 16 * 16 * 4, "blocks.blocks.0": block, "blocks.blocks.1": block}
    assert found == {name: flops / 2 for name, flops in {**expected, "shared": 64 * 9, "head": 5 * 2}.items()}
    assert sum(found.values()) == costs(architecture)


def test_choices_that_only_matter_together_are_found(together: Supernet, example: Tensor) -> None:
    costs, whole = LayerCosts(together, example), FlopCount(together, example)
    assert costs.layers == {"conv": ("one", "two")}
    assert [costs(architecture) for architecture in together.space] == [whole(a) for a in together.space]


class Product(ElasticLayer):
    """Its FLOPs are no multiple of its weight, and depend on two widths together."""

    def __init__(self, one: Width, two: Width) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(one.largest, two.largest))
        self.layout = {"weight": (one, two)}

    def forward(self, x: Tensor) -> Tensor:
        weight = self.active_tensor("weight")
        assert weight is not None
        return x.mean() * (weight @ weight.T @ weight).sum()


def test_layers_that_are_no_multiple_of_their_weight(example: Tensor) -> None:
    class Products(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(
                Product(Width(f"{n}.one", [2, 3, 5]), Width(f"{n}.two", [1, 4])) for n in range(3)
            )

        def forward(self, x: Tensor) -> Tensor:
            return sum((layer(x) for layer in self.layers), start=torch.zeros((), device=x.device))

    supernet = Supernet(Products())
    costs, whole = LayerCosts(supernet, example), FlopCount(supernet, example)
    assert [costs(architecture) for architecture in supernet.space] == [whole(a) for a in supernet.space]


def test_widths_add_no_passes(example: Tensor) -> None:
    """Layers that are multiplied as often whatever the widths are need no pass for a width."""

    class Chain(ModelSpace):
        def __init__(self, layers: int) -> None:
            super().__init__()
            widths = [1, *(Width(f"{n}", [2, 3, 4, 5]) for n in range(layers))]
            self.layers = nn.Sequential(*starmap(partial(ElasticConv2d, kernel_size=1), pairwise(widths)))

        def forward(self, x: Tensor) -> Tensor:
            return self.layers(x)

    short, long = (LayerCosts(Supernet(Chain(layers)), example) for layers in (4, 24))
    assert [len(costs.layers) for costs in (short, long)] == [4, 24]
    assert long.passes <= short.passes + 8


def test_layers_that_depend_on_choices_in_another_way_are_refused(rare: Supernet, example: Tensor) -> None:
    costs = LayerCosts(rare, example)
    options = {f"{n}": "small" for n in range(20)}
    assert costs(options | {"7": "large"}) == 16
    message = r"Layer 'conv' always should have 16 FLOPs in \w+, as \w+ shows, but has 4; they differ in \['"
    with pytest.raises(ValueError, match=message):
        costs(options)


def test_layers_that_run_where_they_are_no_part_are_refused(example: Tensor) -> None:
    costs = LayerCosts(Supernet(Untrue()), example)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"Layer 'body.blocks.\d' runs in \w+, of which it is no part"):
            costs({"depth": 1})


def test_what_cannot_be_counted_is_refused(strided: Supernet, example: Tensor) -> None:
    with pytest.raises(ValueError, match="InputChoice a layer costs nothing where the output does not use it"):
        LayerCosts(Supernet(Taking()), torch.zeros(1, 4))
    with pytest.raises(ValueError, match="need example inputs"):
        LayerCosts(strided)
    with pytest.raises(ValueError, match="no option 7"):
        LayerCosts(strided, example)(dict(strided.active) | {"width": 7})


def test_a_space_without_choices_has_costs_too() -> None:
    class Plain(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x)

    costs = LayerCosts(Supernet(Plain()), torch.zeros(2, 3), unit=10)
    assert [costs({}), costs.parameters({})] == [3.0, 20.0]


def test_shared_parameters_count_once() -> None:
    class Tied(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            one, two = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
            two.weight = one.weight
            self.one = LayerChoice([one, nn.Identity()], label="one")
            self.two = LayerChoice([two, nn.Identity()], label="two")

        def forward(self, x: Tensor) -> Tensor:
            return self.two(self.one(x))

    supernet = Supernet(Tied())
    costs, whole = LayerCosts(supernet, torch.zeros(1, 3)), ParameterCount(supernet)
    assert [costs.parameters(a) for a in supernet.space] == [whole(a) for a in supernet.space] == [9, 9, 9, 0]
