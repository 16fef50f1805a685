"""Choices that no InputChoice takes: they are inactive, and architectures that differ there alone are one."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from autopanoptic.nas import Architecture, InputChoice, LayerChoice, ModelSpace, Repeat, Supernet

IMAGE = torch.zeros(1, 1, 8, 8)
VECTOR = torch.linspace(-1, 1, 4).reshape(1, 4)


class Guide(ModelSpace):
    """The network of the guide to search spaces."""

    def __init__(self, width: int = 8, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.body = Repeat(self.block, depth=(1, 3), label="depth")
        self.skip = InputChoice(2, n_chosen=None, label="skip")
        self.head = nn.Linear(width, classes)
        self.width = width

    def block(self, index: int) -> nn.Module:
        options = {f"conv{k}": nn.Conv2d(8, 8, k, padding=k // 2) for k in (3, 5)}
        return LayerChoice({name: nn.Sequential(conv, nn.BatchNorm2d(8)) for name, conv in options.items()},
                           label=f"kernel{index}")  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        first = self.stem(x)
        return self.head(self.skip([first, self.body(first)]).mean((2, 3)))


class Cell(ModelSpace):
    """Three operations, each on one of what comes before; the output takes two of the last three."""

    def __init__(self) -> None:
        super().__init__()
        for node in range(3):
            options = {"a": nn.Linear(4, 4), "b": nn.Sequential(nn.Linear(4, 4), nn.Tanh())}
            self.add_module(f"op{node}", LayerChoice(options, label=f"op{node}"))
            self.add_module(f"in{node}", InputChoice(node + 1, label=f"in{node}"))
        self.out = InputChoice(3, 2, "concat", label="out")

    def forward(self, x: Tensor) -> Tensor:
        tensors = [x]
        for node in range(3):
            chosen = getattr(self, f"in{node}")(tensors)
            tensors = [*tensors, getattr(self, f"op{node}")(chosen)]
        return self.out(tensors[1:])


class Graph(ModelSpace):
    """Any graph: each node sums what it takes, with an InputChoice or always all, of any tensors before it.

    Args:
        nodes: for each the numbers of the tensors that it is offered, 0 for the input, and how many it chooses; 0 for
            all of them, always.
        cells: how many copies stand behind each other, tied.
    """

    def __init__(self, nodes: tuple[tuple[tuple[int, ...], int], ...], cells: int = 1) -> None:
        super().__init__()
        self.nodes, self.cells = nodes, cells
        for cell, (node, (offered, chosen)) in itertools.product(range(cells), enumerate(nodes)):
            options = {"a": nn.Linear(4, 4), "b": nn.Sequential(nn.Linear(4, 4), nn.Softplus())}
            self.add_module(f"op{node}_{cell}", LayerChoice(options, label=f"op{node}", tied=cells > 1))
            if chosen:
                choice = InputChoice(len(offered), chosen, "mean", label=f"in{node}", tied=cells > 1)
                self.add_module(f"in{node}_{cell}", choice)

    def forward(self, x: Tensor) -> Tensor:
        for cell in range(self.cells):
            tensors = [x]
            for node, (offered, chosen) in enumerate(self.nodes):
                given = [tensors[index] for index in offered]
                taken = getattr(self, f"in{node}_{cell}")(given) if chosen else sum(given)
                tensors.append(getattr(self, f"op{node}_{cell}")(taken))
            x = tensors[-1]
        return x


@st.composite
def graphs(draw: st.DrawFn) -> tuple[tuple[tuple[int, ...], int], ...]:
    nodes = []
    for node in range(draw(st.integers(1, 4))):
        offered = draw(st.lists(st.integers(0, node), min_size=1, max_size=3, unique=True))
        nodes.append((tuple(offered), draw(st.integers(0, len(offered)))))
    return tuple(nodes)


@given(nodes=graphs())
@example(nodes=(((0,), 0), ((0, 1), 1), ((0,), 0)))
@settings(max_examples=25, deadline=None)
def test_the_architectures_of_any_graph_are_those_that_a_backward_pass_tells_apart(nodes: Any) -> None:
    whole, used = Supernet(Graph(nodes)), Supernet(Graph(nodes), inputs=[VECTOR])
    always = {f"op{n}" for n in range(len(nodes))} - reached_by_any(whole)
    expected = {without_dead(whole, architecture, VECTOR, always) for architecture in whole.space}
    assert set(used.space) == expected


@given(nodes=graphs(), seed=st.integers(0, 9))
@settings(max_examples=15, deadline=None)
def test_tied_cells_lose_nothing_that_matters(nodes: Any, seed: int) -> None:
    module = Graph(nodes, 2).eval()
    whole, used = Supernet(module), Supernet(module, inputs=[VECTOR])
    architecture = whole.space.sample(np.random.default_rng(seed))
    whole.activate(architecture)
    expected = whole(VECTOR)
    used.activate(used.space.canonical(architecture))
    assert torch.equal(used(VECTOR), expected)


def reached(supernet: Supernet, architecture: Architecture, sample: Tensor) -> set[str]:
    """The operations whose weights a backward pass reaches."""
    supernet.activate(architecture)
    supernet.module.zero_grad(set_to_none=True)
    supernet(sample).sum().backward()
    return {name.split("_")[0].split(".")[0] for name, p in supernet.module.named_parameters() if p.grad is not None}


def reached_by_any(supernet: Supernet) -> set[str]:
    return set().union(*(reached(supernet, architecture, VECTOR) for architecture in supernet.space))


def without_dead(
    supernet: Supernet,
    architecture: Architecture,
    sample: Tensor,
    kept: set[str] = frozenset(),  # type: ignore[assignment]
) -> Architecture:
    """Drop the operations that a backward pass does not reach, and what chooses their inputs."""
    live = reached(supernet, architecture, sample) | kept | {"out"}
    return Architecture({k: v for k, v in architecture.items() if k in live or f"op{k[2:]}" in live})


def test_the_guides_network_has_29_architectures_of_42() -> None:
    whole, used = Supernet(Guide()).space, Supernet(Guide(), inputs=[IMAGE]).space
    assert (whole.size, used.size) == (42, 29)
    assert [dict(architecture) for architecture in used if architecture["skip"] == "0"] == [{"skip": "0"}]
    assert {used.canonical(architecture) for architecture in whole} == set(used)
    assert used["kernel1"] == whole["kernel1"], "the depth says it all"


def test_a_cells_architectures_are_those_that_a_backward_pass_tells_apart() -> None:
    whole, used = Supernet(Cell()), Supernet(Cell(), inputs=[VECTOR])
    expected = {without_dead(whole, architecture, VECTOR) for architecture in whole.space}
    assert set(used.space) == expected
    assert used.space.size == len(expected) < whole.space.size


@pytest.mark.parametrize(("network", "sample"), [(Guide, IMAGE), (Cell, VECTOR)])
def test_what_is_inactive_changes_nothing(network: Any, sample: Tensor) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = network().eval()
    whole, used = Supernet(module), Supernet(module, inputs=[sample])
    for architecture in itertools.islice(whole.space, 0, None, 7):
        whole.activate(architecture)
        expected = whole(sample)
        used.activate(used.space.canonical(architecture))
        assert torch.equal(used(sample), expected)
        assert torch.equal(used.subnet(used.active)(sample), expected)


class Nested(ModelSpace):
    """An InputChoice within an option, a branch offered to two of them, and one that goes to the output."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = LayerChoice([nn.Linear(4, 4), nn.Identity()], label="branch")
        self.free = LayerChoice([nn.Linear(4, 4), nn.Identity()], label="free")
        self.op = LayerChoice({"plain": nn.Linear(4, 4), "inner": Inner()}, label="op")
        self.first = InputChoice(2, label="first")
        self.second = InputChoice(3, None, "sum", label="second")

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        branch, free = self.branch(x), self.free(x).relu_()
        chosen = self.first([x, branch.detach() > 0])
        return self.second([self.op(x), chosen, branch]), {"free": free}


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left = LayerChoice([nn.Linear(4, 4), nn.Linear(4, 4)], label="left")
        self.choice = InputChoice(2, label="choice")

    def forward(self, x: Tensor) -> Tensor:
        return self.choice([x, self.left(x)])


def test_conditions_of_nested_and_shared_branches() -> None:
    space = Supernet(Nested(), inputs=[VECTOR]).space
    conditions = {choice.label: dict(choice.conditions) for choice in space.choices}
    assert conditions == {
        "second": {},
        "free": {},
        "op": {"second": ("0", "0+1", "0+2", "0+1+2")},
        "first": {"second": ("1", "0+1", "1+2", "0+1+2")},
        # a comparison of detached values is a use, though no gradient goes through it
        "branch": {"first": (1,), "second": ("2", "0+2", "1+2", "0+1+2")},
        "choice": {"op": ("inner",)},
        "left": {"choice": (1,)},
    }


class Parts(NamedTuple):
    first: Tensor
    second: Tensor


class Split(nn.Module):
    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Any:
        return self.kind(x + 1, x * 2)


class Structured(ModelSpace):
    """A choice that returns several tensors, of which one is offered and one used, and an InputChoice with a list."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.kind = kind
        self.split = LayerChoice([Split(kind), Split(kind)], label="split")
        self.alone = LayerChoice([nn.Tanh(), nn.ReLU()], label="alone")
        self.take = InputChoice(2, reduction="none", label="take")

    def forward(self, x: Tensor) -> Tensor:
        found = self.split(x)
        first = found["first"] if isinstance(found, dict) else found[0]
        return sum(self.take([self.alone(first), x]))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "kind", [Parts, lambda *p: list(p), lambda a, b: {"first": a, "second": b}, lambda a, b: defaultdict(int, first=a)]
)
def test_choices_may_return_collections(kind: Any) -> None:
    conditions = {c.label: dict(c.conditions) for c in Supernet(Structured(kind), inputs=[VECTOR]).space.choices}
    assert conditions == {"take": {}, "split": {"take": (0,)}, "alone": {"take": (0,)}}


class Plain(ModelSpace):
    def __init__(self) -> None:
        super().__init__()
        self.a = LayerChoice([nn.Linear(4, 4), nn.Identity()], label="a")

    def forward(self, x: Tensor) -> Tensor:
        return self.a(x)


def test_canonical_merges_what_the_network_does_not_show() -> None:
    def one_sum(architecture: Architecture) -> dict[str, Any]:
        return dict(zip(architecture, sorted(architecture.values()), strict=True))  # type: ignore[type-var]

    class Sum(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            self.left = LayerChoice({"a": nn.ReLU(), "b": nn.Tanh()}, label="left")
            self.right = LayerChoice({"a": nn.ReLU(), "b": nn.Tanh()}, label="right")

        def forward(self, x: Tensor) -> Tensor:
            return self.left(x) + self.right(x)

    supernet = Supernet(Sum(), canonical=one_sum)
    assert len(list(supernet.space)) == 3
    assert supernet.activate({"left": "b", "right": "a"}) == {"left": "a", "right": "b"}
    assert supernet.meta().space == supernet.space


def test_a_network_without_input_choices_is_not_run() -> None:
    assert Supernet(Plain(), inputs=[torch.zeros(1, 99)]).space == Supernet(Plain()).space


def test_following_leaves_the_network_as_it_was() -> None:
    module = Cell()
    hooks = [len(m._forward_hooks) for m in module.modules()]
    Supernet(module, inputs=[VECTOR])
    assert [len(m._forward_hooks) for m in module.modules()] == hooks
    with pytest.raises(RuntimeError, match="same reduction dim"):
        Supernet(module, inputs=[torch.zeros(1, 3)])
