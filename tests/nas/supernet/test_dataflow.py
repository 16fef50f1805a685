from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from autopanoptic.nas.supernet.dataflow import follow


class Pair(NamedTuple):
    first: Tensor
    second: Tensor


class Boxed:
    def __init__(self, value: Tensor) -> None:
        self.value = value


class Two(nn.Module):
    """Two layers, whose results go through a function."""

    def __init__(self, join: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.a = nn.Linear(4, 4, bias=False)
        self.b = nn.Linear(4, 4, bias=False)
        self.constants = [torch.ones(4)]
        self.join = join

    def forward(self, x: Tensor) -> Any:
        return self.join(self.a(x), self.b(x) * self.constants[0])


def in_place(a: Tensor, b: Tensor) -> Tensor:
    view = a.view(-1)
    view.add_(b.view(-1))
    return a


def assigned(a: Tensor, b: Tensor) -> Tensor:
    made = torch.zeros(2, 4, device=a.device)
    made[0] = a[0]
    made[1] = b[0]
    return made


def out(a: Tensor, b: Tensor) -> Tensor:
    return torch.add(a, b, out=torch.empty_like(a))


BOTH = {
    "sum": lambda a, b: a + b,
    "in place on a view": in_place,
    "assigned": assigned,
    "out=": out,
    "detached": lambda a, b: a.detach() + b.data,
    "integers": lambda a, b: a.argmax(1) + (b > 0).sum(1),
    "tuple": lambda a, b: Pair(a, b),
    "objects": lambda a, b: {"x": [Boxed(a)], "y": Boxed(b)},
    "no tensor": lambda a, b: None,
}
FIRST = {
    "first": lambda a, b: a,
    "read before the change": lambda a, b: (a * 1, a.add_(b))[0],
    "the same object": lambda a, b: (a, b + a.contiguous())[0],
    "a split that drops": lambda a, b: torch.stack([a, a]).unbind()[1],
}


@pytest.mark.parametrize(("name", "join", "names"), [
    *((name, join, {"a", "b"}) for name, join in BOTH.items()),
    *((name, join, {"a"}) for name, join in FIRST.items()),
])  # fmt: skip
def test_parameters_and_flops_that_reach_the_output(name: str, join: Any, names: set[str]) -> None:
    with torch.device("meta"):
        network, x = Two(join), torch.zeros(2, 4)
    with FlopCounterMode(display=False) as counter:
        flow = follow(network, [x], flops=counter.get_total_flops)
    live = [flow.operations[number] for number in flow.live()]
    known = {id(parameter): name.split(".")[0] for name, parameter in network.named_parameters()}
    assert {known[found] for operation in live for found in operation.parameters} == names
    assert sum(operation.flops for operation in live) == len(names) * 2 * 2 * 4 * 4


def test_a_tensor_from_elsewhere_depends_on_everything_before() -> None:
    hidden: list[Tensor] = []

    class Elsewhere(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            self.a(x)
            return hidden[0]

    hidden.append(torch.zeros(1))
    flow = follow(Elsewhere(), [torch.zeros(1, 4)])
    assert flow.live() == set(range(len(flow.operations)))
    assert flow.operations
