from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autopanoptic.nas import ElasticLinear, LayerChoice, ModelSpace, ParameterCount, PerDepth, Repeat, Supernet, Width
from autopanoptic.nas.supernet import _nni
from autopanoptic.nas.supernet.uses import places_of_parameters, uses

DEPTHS = (2, 4)


class Stack(ModelSpace):
    """Linear layers, and behind them an output of its own for each depth."""

    def __init__(self, *, tied: bool = True) -> None:
        super().__init__()
        width = Width("width", [4, 8])
        self.first = ElasticLinear(3, width)
        self.layers = Repeat(lambda index: ElasticLinear(width, width), DEPTHS, label="depth", tied=tied)
        self.out = PerDepth(lambda depth: ElasticLinear(width, depth), DEPTHS, label="depth")

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.out(self.layers(self.first(x)))
        return found


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("width", [4, 8])
def test_the_module_of_the_active_depth_runs(depth: int, width: int) -> None:
    supernet = Supernet(Stack())
    path = {"width": width, "depth": depth}
    supernet.activate(path)
    x = torch.randn(5, 3)
    assert supernet.space["depth"].options == (2, 3, 4)
    assert supernet(x).shape == (5, depth)
    subnet = supernet.subnet(path)
    assert isinstance(subnet.out, nn.Linear)
    assert torch.equal(subnet(x), supernet(x))
    assert torch.equal(subnet.out.weight, supernet.module.out.blocks[depth - 2].weight[:, :width])


def test_only_the_module_of_the_depth_counts() -> None:
    supernet = Supernet(Stack())
    count = ParameterCount(supernet)
    for path in supernet.space:
        subnet = supernet.subnet(path)
        assert count(path) == sum(parameter.numel() for parameter in subnet.parameters())


def test_a_module_is_used_by_the_paths_of_its_depth() -> None:
    module = Stack()
    places = places_of_parameters(module)
    paths = [{"width": 8, "depth": depth} for depth in (2, 3, 3, 4)]
    counts = uses(places.values(), paths)  # type: ignore[arg-type]
    found = [counts[places[id(block.weight)]] for block in module.out.blocks]
    assert found == [1, 2, 1]
    supernet = Supernet(module)
    supernet.activate({"width": 8, "depth": 3})
    supernet(torch.randn(2, 3)).sum().backward()
    assert [block.weight.grad is not None for block in module.out.blocks] == [False, True, False]


def test_a_choice_inside_is_made_at_its_depth_only() -> None:
    class Choosing(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            self.layers = Repeat(lambda index: nn.Linear(2, 2), (1, 2), label="depth", tied=True)
            candidates = lambda: {"plain": nn.Linear(2, 1), "none": nn.Identity()}  # noqa: E731
            self.out = PerDepth(lambda depth: LayerChoice(candidates(), label=f"out.{depth}"), (1, 2), label="depth")

        def forward(self, x: Tensor) -> Any:
            return self.out(self.layers(x))

    space = Supernet(Choosing()).space
    assert space["out.2"].conditions == (("depth", (2,)),)
    assert space.size == 4


def test_the_stack_must_be_tied() -> None:
    with pytest.raises(ValueError, match="'depth' stands at 2 choices"):
        Supernet(Stack(tied=False))


@pytest.mark.parametrize("depth", [(0, 2), (3, 2), 2])
def test_depths_that_are_no_range(depth: Any) -> None:
    with pytest.raises(ValueError, match=r"PerDepth cannot have depth=.*; use \(fewest, most\)"):
        PerDepth(lambda _: nn.Identity(), depth, label="depth")


def test_other_depths_than_the_stack() -> None:
    class Other(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            self.layers = Repeat(lambda index: nn.Identity(), (1, 3), label="depth", tied=True)
            self.out = PerDepth(lambda depth: nn.Identity(), (1, 2), label="depth")

    with pytest.raises(ValueError, match="'depth' stands for"):
        Supernet(Other())


def test_the_module_of_any_depth() -> None:
    out = Stack().out
    assert [out.of(depth) for depth in (2, 3, 4)] == list(out.blocks)
    with pytest.raises(ValueError, match="Choice 'depth' has depths 2 to 4, not 1"):
        out.of(1)


def test_nni_fixes_it_in_place() -> None:
    class Fixed(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            self.out = PerDepth(lambda depth: nn.Linear(2, depth), DEPTHS, label="depth")

    frozen = Fixed().out.freeze({"depth": 3})
    assert isinstance(frozen, nn.Linear)
    assert frozen.out_features == 3
    assert not isinstance(frozen, _nni.MutableModule)
