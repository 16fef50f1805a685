"""Layers that disagree are found, and named, when the network is built."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

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
from autopanoptic.nas.supernet.elastic.agreement import largest_networks, smaller_networks

EXAMPLE = torch.zeros(1, 2, 6, 6)


class Wired(ModelSpace):
    """Layers by name, and a function that connects them."""

    def __init__(self, layers: Callable[[], dict[str, nn.Module]], connect: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        for name, layer in layers().items():
            self.add_module(name, layer)
        self.connect = connect

    def forward(self, x: Tensor) -> Tensor:
        return self.connect(self, x)


def two(first: Any, second: Any, **further: Any) -> Callable[[], dict[str, nn.Module]]:
    """Return layers from 2 channels to widths ``a`` and ``b``, which have equal ends."""

    def make() -> dict[str, nn.Module]:
        a, b = Width("a", [4, 8]), Width("b", [4, 6, 8])
        layers = {"left": ElasticConv2d(2, first(a, b), 1), "right": ElasticConv2d(2, second(a, b), 1)}
        return {**layers, **{name: layer(a, b) for name, layer in further.items()}}

    return make


WRONG: dict[str, tuple[Any, Any, str]] = {
    "residual": (
        two(lambda a, b: a, lambda a, b: b),
        lambda n, x: n.left(x) + n.right(x),
        r"where {'b': 4}\. forward\(\) of Wired, in add\(\), fails: .* 'left' \(Width\('a'.*and of 'right' \(Width",
    ),
    "wrong in_channels": (
        two(lambda a, b: a, lambda a, b: b, next=lambda a, b: ElasticConv2d(b, 3, 1)),
        lambda n, x: n.next(n.left(x).relu()),
        r"ElasticConv2d 'next' takes channels of Width\('b'.*given those of Width\('a'.*comes of 'left'",
    ),
    "norm of another width": (
        two(lambda a, b: a, lambda a, b: a, norm=lambda a, b: ElasticBatchNorm2d(b)),
        lambda n, x: n.norm(n.left(x)),
        r"ElasticBatchNorm2d 'norm' takes",
    ),
    "plain layer": (
        two(lambda a, b: a, lambda a, b: b, next=lambda a, b: nn.Sequential(nn.Conv2d(8, 3, 1))),
        lambda n, x: n.next(n.left(x)),
        r"Conv2d 'next\.0', in conv2d\(\), fails.* What it is given comes of 'left' \(Width\('a'",
    ),
    "plain option": (
        two(
            lambda a, b: a,
            lambda a, b: b,
            next=lambda a, b: LayerChoice({"plain": nn.Conv2d(8, 3, 1), "good": ElasticConv2d(a, 3, 1)}, label="next"),
        ),
        lambda n, x: n.next(n.left(x)),
        r"Conv2d 'next\.plain', in conv2d",
    ),
    "in a late block": (
        two(
            lambda a, b: a,
            lambda a, b: b,
            blocks=lambda a, b: Repeat(lambda i: ElasticConv2d(b if i == 2 else a, a, 1), (0, 3), label="depth"),
        ),
        lambda n, x: n.blocks(n.left(x)),
        r"'blocks\.blocks\.2' takes channels of Width\('b'",
    ),
    "short concatenation": (
        two(lambda a, b: a, lambda a, b: b, next=lambda a, b: ElasticConv2d(a * 2, 3, 1)),
        lambda n, x: n.next(torch.cat([n.left(x), n.right(x)], 1)),
        r"ElasticConv2d 'next' takes .* Width\('a', \[4, 8\]\) \* 2",
    ),
    "order of a concatenation": (
        two(lambda a, b: a, lambda a, b: b, next=lambda a, b: ElasticConv2d(Concat(b, a), 3, 1)),
        lambda n, x: n.next(torch.cat([n.left(x).relu(), n.right(x)], dim=1)),
        r"'next' takes channels of Concat\(Width\('b'.*is given those of Concat\(Width\('a', \[4, 8\]\), Width\('b'",
    ),
    "sum of two orders": (
        two(Concat, lambda a, b: Concat(b, a)),
        lambda n, x: n.left(x) + n.right(x).relu(),
        r"in the largest network\. forward\(\) of Wired takes channels of Concat\(Width\('a'.* and of "
        r"Concat\(Width\('b'.* one by one in add\(\)\. .*comes of 'left' .*and of 'right'",
    ),
    "another width's one channel": (
        lambda: {name: ElasticConv2d(2, Width(name, [1, 4]), 1) for name in ("left", "right")},
        lambda n, x: n.left(x) * n.right(x),
        r"takes channels of Width\('left', \[1, 4\]\) and of Width\('right', \[1, 4\]\) one by one in mul\(\)",
    ),
    "twice the same tensor": (
        two(lambda a, b: a, lambda a, b: b, next=lambda a, b: ElasticConv2d(a * 2, 3, 1)),
        lambda n, x: n.next(torch.cat([n.left(x), n.left(x)], -3)),
        r"takes channels of Width\('a', \[4, 8\]\) \* 2, but is given those of Concat\(Width\('a'",
    ),
    "flattened": (
        two(lambda a, b: a, lambda a, b: b, head=lambda a, b: ElasticLinear(a * 16, 3)),
        lambda n, x: n.head(n.left(x).flatten(1)),
        r"ElasticLinear 'head' takes 128 channels",
    ),
    "kernel without its padding": (
        two(lambda a, b: a, lambda a, b: a, next=lambda a, b: ElasticConv2d(a, a, Kernel("k", [3, 5]), padding=2)),
        lambda n, x: n.left(x) + n.next(n.left(x)),
        r"where {'k': 3}.*in add",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_layers_that_disagree_are_named(name: str) -> None:
    layers, connect, message = WRONG[name]
    with pytest.raises(ValueError, match=f"(?s)Layers of the network do not fit .*{message}"):
        Supernet(Wired(layers, connect), inputs=[EXAMPLE])
    Supernet(Wired(layers, connect))  # whose first wrong forward says so


def cross(a: Width, b: Width) -> nn.Module:
    return ElasticConv2d(Concat(a, 2, b), 3, 1)


RIGHT: dict[str, tuple[Any, Any]] = {
    "residual": (two(lambda a, b: a, lambda a, b: a), lambda n, x: n.left(x) + n.right(x)),
    "concatenation": (
        two(lambda a, b: a, lambda a, b: b, next=cross),
        lambda n, x: n.next(torch.cat([nn.functional.interpolate(n.left(x), 6), x[:, :2], n.right(x)[:, :]], 1)),
    ),
    "concatenation of all": (
        two(lambda a, b: a, lambda a, b: b, next=cross),
        lambda n, x: n.next(torch.concat([n.left(x) * 2, x, n.right(x)], 1)),
    ),
    "a gate for all channels": (
        two(
            lambda a, b: a,
            lambda a, b: a,
            gate=lambda a, b: ElasticConv2d(a, 1, 1),
            one=lambda a, b: nn.Conv2d(2, 1, 1),
        ),
        lambda n, x: (n.left(x) + n.right(x)) * n.gate(n.left(x)) + n.one(x),
    ),
    "numbers": (
        two(
            lambda a, b: 3,
            lambda a, b: 5,
            next=lambda a, b: ElasticConv2d(8, a, 1),
            last=lambda a, b: ElasticConv2d(a, 8, 1),
        ),
        lambda n, x: n.last(n.next(torch.cat([n.left(x), n.right(x)], 1))),
    ),
    "written in other words": (
        two(lambda a, b: a * 4 // 2, lambda a, b: a, next=lambda a, b: ElasticConv2d(a * 2, Width("one", [3]), 1)),
        lambda n, x: nn.functional.conv2d(n.next(n.left(x)), torch.ones(1, 3, 1, 1, device=x.device)),
    ),
    "one option": (
        two(lambda a, b: 4, lambda a, b: a, next=lambda a, b: ElasticConv2d(Width("one", [4]), a, 1)),
        lambda n, x: n.next(n.left(x)) + n.right(x),
    ),
    "a weight for all channels": (
        two(lambda a, b: a, lambda a, b: a, act=lambda a, b: nn.PReLU(), next=lambda a, b: ElasticConv2d(a, 3, 1)),
        lambda n, x: n.next(n.act(n.left(x))),
    ),
    "as many rows as channels": (
        two(lambda a, b: a, lambda a, b: b, next=lambda a, b: ElasticConv2d(6, b, 1)),
        lambda n, x: n.next(n.left(x).transpose(1, 2)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_layers_that_agree_pass(name: str) -> None:
    layers, connect = RIGHT[name]
    supernet = Supernet(Wired(layers, connect), inputs=[EXAMPLE])
    for architecture in supernet.space:
        supernet.activate(architecture)
        supernet(EXAMPLE)


def test_the_nested_network_agrees(elastic_class: type[ModelSpace]) -> None:
    supernet = Supernet(elastic_class(), inputs=[torch.zeros(1, 1, 8, 8)])
    assert supernet.space == Supernet(elastic_class()).space


def test_a_wrong_forward_names_the_layer() -> None:
    layers, connect, _ = WRONG["wrong in_channels"]
    supernet = Supernet(Wired(layers, connect))
    supernet.activate({"a": 4, "b": 8})
    with pytest.raises(ValueError, match=r"ElasticConv2d 'next' takes 8 channels, the active size of Width\('b'"):
        supernet(EXAMPLE)


def test_any_two_sizes_differ_in_some_network(elastic: Supernet) -> None:
    tried = list(smaller_networks(elastic))
    others = ("filter", "branch")
    own = {choice.label: choice for choice in elastic.space.choices if not choice.label.startswith(others)}
    usual = [label for label in elastic.space.canonical(last(elastic)) if label in own and "depth" not in label]
    for a, b in itertools.permutations(usual, 2):
        ends = own[a].options[0], own[b].options[-1]
        assert any((architecture.get(a), architecture.get(b)) == ends for architecture in tried), (a, b)
    assert len(usual) == 6
    assert len(tried) == 2 * 3 + (len(own) - len(usual)) + len(list(largest_networks(elastic))) + 1
    for label, choice in own.items():
        assert choice.options[0] in {architecture.get(label) for architecture in tried}
        assert choice.options[-1] in {architecture.get(label) for architecture in largest_networks(elastic)}


def last(supernet: Supernet) -> dict[str, Any]:
    return {choice.label: choice.options[-1] for choice in supernet.space.choices}


def test_every_option_is_tried_in_the_largest_and_in_the_smallest_network(elastic: Supernet) -> None:
    for networks in (list(largest_networks(elastic)), list(smaller_networks(elastic))):
        for label in ("filter0", "filter1", "filterstage0", "branch"):
            used = {architecture[label] for architecture in networks if label in architecture}
            assert used == set(elastic.space[label].options)
