"""Paths of a cycle that processes share."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from autopanoptic.nas import (
    FairPaths,
    LayerChoice,
    ModelSpace,
    PairwiseRanking,
    SandwichPaths,
    SoftLabels,
    Supernet,
    SupernetModule,
)
from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.supernet.paths import DrawnPaths
from autopanoptic.nas.supernet.training import sharing
from autopanoptic.nas.supernet.training.sharing import own_places, sum_gradients, sum_losses


@pytest.mark.parametrize(("cycle", "world"), [(4, 1), (4, 2), (3, 2), (5, 3), (2, 4), (12, 5)])
def test_each_place_is_one_process_s_own(cycle: int, world: int) -> None:
    owned = [list(own_places(cycle, rank, world)) for rank in range(world)]
    assert sorted(place for places in owned for place in places) == list(range(cycle))
    assert max(map(len, owned)) - min(map(len, owned)) <= 1
    assert 0 in owned[0]


def test_gradients_of_all_processes_are_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process has gradients of 10, of the second and the third parameter."""
    weights = [nn.Parameter(torch.zeros(size)) for size in (2, 3, 4, 5)]
    weights[0].grad, weights[1].grad = torch.ones(2), torch.ones(3)
    others = iter([torch.tensor([0, 1, 1, 0], dtype=torch.uint8), torch.tensor([0.0] * 2 + [10.0] * 7)])

    def all_reduce(tensor: torch.Tensor, op: Any = None) -> None:
        other = next(others)
        tensor.copy_(torch.maximum(tensor, other) if op is not None else tensor + other)

    monkeypatch.setattr(sharing.dist, "all_reduce", all_reduce)
    sum_gradients(weights)
    found = [None if weight.grad is None else weight.grad.tolist() for weight in weights]
    assert found == [[1.0] * 2, [11.0] * 3, [10.0] * 4, None]


def test_losses_of_all_processes_stand_in_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing.dist, "all_reduce", lambda tensor: tensor.add_(torch.tensor([0.0, 0.0, 7.0])))
    found = sum_losses({0: torch.tensor(1.0), 1: torch.tensor(2.0)}, 3, torch.device("cpu"))
    assert [float(loss) for loss in found] == [1.0, 2.0, 7.0]


@pytest.fixture
def supernet() -> Supernet:
    class Net(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            self.a = LayerChoice([nn.Linear(4, 2), nn.Identity()], label="a")

    return Supernet(Net())


def proxy(architecture: Architecture) -> float:
    return 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"same_batch": False}, "shares the paths that run on one batch, so it needs same_batch=True"),
        ({"same_batch": True, "distillation": True}, "there can be no distillation and no ranking"),
        ({"same_batch": True, "ranking": PairwiseRanking(proxy)}, "there can be no distillation and no ranking"),
    ],
)
def test_paths_that_need_each_other_are_not_shared(supernet: Supernet, options: dict[str, Any], message: str) -> None:
    space = supernet.space
    first = space.canonical({choice.label: choice.options[0] for choice in space.choices})
    loss = SoftLabels(lambda network, batch: batch)
    with pytest.raises(ValueError, match=message):
        SupernetModule(
            supernet, loss, lambda weights: torch.optim.SGD(weights, 0.1), SandwichPaths(space, first, first),
            share_paths=True, **options,
        )  # fmt: skip


def test_drawn_paths_are_those_of_their_sampler(supernet: Supernet) -> None:
    fair = FairPaths(supernet.space, seed=3)
    drawn = DrawnPaths(fair, 7)
    assert [drawn.path(step) for step in range(7)] == [fair.path(step) for step in range(7)]
    assert (drawn.cycle, drawn.roles) == (fair.cycle, ())
    first = fair.path(0)
    assert DrawnPaths(SandwichPaths(supernet.space, first, first, 1), 3).roles == ("largest", "smallest", "random")
    for step in (-1, 7):
        with pytest.raises(IndexError, match=f"Path {step} was not drawn, only the first 7 were"):
            drawn.path(step)
