from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autopanoptic.nas import (
    ElasticConv2d,
    FlopCount,
    InputChoice,
    Latency,
    LayerChoice,
    ModelSpace,
    ParameterCount,
    Repeat,
    Supernet,
    Width,
)
from autopanoptic.nas.costs import flops as flops_module
from autopanoptic.nas.costs import latency as latency_module
from autopanoptic.nas.costs import parameters as parameters_module
from autopanoptic.nas.costs.latency import Timing, measure, time_forward


class Known(ModelSpace):
    """8x8 pixels: conv 1 to 4 (3x3), then one of two layers at 4x4, repeated 1 or 2 times, then a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.body = Repeat(self.layer, (1, 2), label="depth")
        self.head = nn.Linear(4 * 16, 10)

    def layer(self, index: int) -> nn.Module:
        full = nn.Conv2d(4, 4, 3, padding=1)
        return LayerChoice({"full": full, "depthwise": nn.Conv2d(4, 4, 5, padding=2, groups=4)}, label=f"op{index}")

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(self.norm(self.stem(x)).relu()).flatten(1))


class Selecting(ModelSpace):
    """The input or what a layer makes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.input = InputChoice(2, label="input")

    def forward(self, x: Tensor) -> Tensor:
        return self.input([x, self.layer(x)])


STEM, HEAD = 16 * 4 * 9, 64 * 10
FULL, DEPTHWISE = 16 * 4 * 4 * 9, 16 * 4 * 25


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        ({"depth": 1, "op0": "full"}, STEM + FULL + HEAD),
        ({"depth": 1, "op0": "depthwise"}, STEM + DEPTHWISE + HEAD),
        ({"depth": 2, "op0": "full", "op1": "depthwise"}, STEM + FULL + DEPTHWISE + HEAD),
    ],
)
def test_flops_of_a_known_network(architecture: Any, expected: int) -> None:
    supernet = Supernet(Known())
    assert FlopCount(supernet, torch.zeros(1, 1, 8, 8))(architecture) == expected
    assert FlopCount(supernet, torch.zeros(3, 1, 8, 8), unit=1e3)(architecture) == 3 * expected / 1e3


@pytest.mark.parametrize(("cost", "module"), [(FlopCount, flops_module), (ParameterCount, parameters_module)])
def test_only_networks_with_an_input_choice_are_followed(
    cost: Any, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes three times as long."""
    follow, followed = module.follow, []

    def recorded(network: nn.Module, *args: Any, **kwargs: Any) -> Any:
        followed.append(type(network))
        return follow(network, *args, **kwargs)

    monkeypatch.setattr(module, "follow", recorded)
    cost(Supernet(Known()), torch.zeros(1, 1, 8, 8))({"depth": 1, "op0": "full"})
    cost(Supernet(Selecting()), torch.zeros(1, 4))({"input": 1})
    assert followed == [Selecting]


def test_flops_of_other_operations_by_formula() -> None:
    supernet = Supernet(Known())
    relu = torch.ops.aten.relu

    def formula(shape: Any, *args: Any, **kwargs: Any) -> int:
        return 2 * int(np.prod(shape))

    plain = FlopCount(supernet, torch.zeros(1, 1, 8, 8))({"depth": 1, "op0": "full"})
    more = FlopCount(supernet, torch.zeros(1, 1, 8, 8), formulas={relu: formula})({"depth": 1, "op0": "full"})
    assert more - plain == 4 * 16


def test_parameters_equal_the_subnets(supernet: Supernet) -> None:
    rng = np.random.default_rng(0)
    count = ParameterCount(supernet)
    for architecture in (supernet.space.sample(rng) for _ in range(50)):
        own = sum(parameter.numel() for parameter in supernet.subnet(architecture).parameters())
        assert count(architecture) == own
    assert ParameterCount(supernet, unit=1e6)(architecture) == own / 1e6


class Branch(ModelSpace):
    """A layer that an InputChoice may leave out, after which the network goes on as written."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(4, 4, bias=False)
        self.branch = nn.Sequential(nn.Linear(4, 8, bias=False), LayerChoice([nn.ReLU(), nn.Linear(8, 8)], label="op"))
        self.widen = nn.Linear(4, 8, bias=False)
        self.take = InputChoice(2, label="take")
        self.idle = nn.Linear(4, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.take([self.widen(x), self.branch(x)])


@pytest.mark.parametrize(
    ("architecture", "flops", "parameters"),
    [
        ({"take": 0, "op": 1}, 16 + 32, 16 + 32),
        ({"take": 1, "op": 0}, 16 + 32, 16 + 32),
        ({"take": 1, "op": 1}, 16 + 32 + 64, 16 + 32 + 64 + 8),
    ],
)
def test_costs_count_what_the_path_uses(architecture: Any, flops: int, parameters: int) -> None:
    example, idle = torch.zeros(1, 4), 16  # what never runs is taken to be there for a reason
    for supernet in (Supernet(Branch()), Supernet(Branch(), inputs=[example])):
        assert FlopCount(supernet, example)(architecture) == flops
        assert ParameterCount(supernet, example)(architecture) == parameters + idle
    assert FlopCount(supernet)(architecture) == flops
    assert ParameterCount(supernet)(architecture) == parameters + idle


def test_flops_need_inputs() -> None:
    with pytest.raises(ValueError, match=r"FlopCount needs example inputs: FlopCount\(supernet, example\)"):
        FlopCount(Supernet(Branch()))


def test_shared_parameters_count_once() -> None:
    class Shared(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(3, 3)
            self.b = nn.Linear(3, 3)
            self.b.weight = self.a.weight
            self.op = LayerChoice([nn.Identity(), nn.Linear(3, 3)], label="op")

    count = ParameterCount(Supernet(Shared()))
    assert count({"op": 0}) == 9 + 3 + 3
    assert count({"op": 1}) == 9 + 3 + 3 + 12


def test_counting_allocates_nothing_and_leaves_the_supernet_alone() -> None:
    from torch.utils._python_dispatch import TorchDispatchMode

    class OnMetaAlone(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            found = function(*args, **(kwargs or {}))
            for value in found if isinstance(found, (tuple, list)) else [found]:
                assert not isinstance(value, torch.Tensor) or value.is_meta, function
            return found

    supernet = Supernet(Known())
    active = supernet.activate({"depth": 1, "op0": "full"})
    inputs = torch.zeros(1, 1, 8, 8)
    with OnMetaAlone():
        flops, parameters = FlopCount(supernet, inputs), ParameterCount(supernet)
        other = {"depth": 2, "op0": "depthwise", "op1": "full"}
        assert flops(other) > parameters(other) > 0
    assert supernet.active == active
    assert supernet.module.training


def test_costs_refuse_what_is_not_in_the_space() -> None:
    supernet = Supernet(Known())
    for cost in (ParameterCount(supernet), FlopCount(supernet, torch.zeros(1, 1, 8, 8))):
        with pytest.raises(ValueError, match="no option 'dense'"):
            cost({"depth": 1, "op0": "dense"})


def test_measure_leaves_out_the_warm_up() -> None:
    calls: list[int] = []

    def run() -> None:
        calls.append(1)
        time.sleep(0.05 if len(calls) <= 2 else 0.002)

    timing = measure(run, device=torch.device("cpu"), warmup=2, repeats=9)
    assert len(calls) == 11
    assert len(timing.milliseconds) == 9
    assert 2 <= timing.median < 40
    with pytest.raises(ValueError, match="repeats must be at least 1"):
        measure(run, device=torch.device("cpu"), repeats=0)


def test_percentiles() -> None:
    timing = Timing((4.0, 1.0, 3.0, 2.0, 10.0))
    assert timing.median == 3
    assert [timing.percentile(p) for p in (0, 50, 100)] == [1, 3, 10]


def test_latency_is_that_of_the_stand_alone_network(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(latency_module, "time", SimpleNamespace(perf_counter=lambda: clock[0]))

    class Slow(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            clock[0] += 0.004
            return x

    class Two(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            self.op = LayerChoice({"fast": nn.Identity(), "slow": Slow()}, label="op")
            self.width_of = ElasticConv2d(1, Width("width", [1, 2]), 1)

        def forward(self, x: Tensor) -> Tensor:
            assert not self.training
            assert self is not supernet.module
            assert type(self.width_of) is nn.Conv2d, "no slice of elastic weights"
            assert torch.is_inference_mode_enabled()
            return self.op(x)

    supernet = Supernet(Two())
    latency = Latency(supernet, [torch.zeros(1)], warmup=1, repeats=5)
    assert latency({"op": "slow", "width": 1}) == pytest.approx(4)
    assert latency({"op": "fast", "width": 1}) == 0
    assert len(latency.timing({"op": "fast", "width": 1}).milliseconds) == 5
    assert supernet.active == {"op": "fast", "width": 1}
    assert supernet.module.training
    highest = Latency(supernet, [torch.zeros(1)], repeats=4, percentile=100)
    assert highest({"op": "slow", "width": 1}) == pytest.approx(4)


def test_latency_is_checked(supernet: Supernet) -> None:
    with pytest.raises(ValueError, match="needs example inputs"):
        Latency(supernet, [])
    for wrong in ({"repeats": 0}, {"percentile": 101.0}, {"percentile": -1.0}):
        with pytest.raises(ValueError, match="repeats >= 1 and 0 <= percentile <= 100"):
            Latency(supernet, [torch.zeros(1)], **wrong)  # type: ignore[arg-type]


def test_time_of_a_fixed_network(supernet: Supernet, images: Tensor) -> None:
    network = supernet.subnet(supernet.active).train()
    assert time_forward(network, [images], warmup=0, repeats=2).median > 0
    assert network.training
