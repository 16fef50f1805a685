"""Once-for-all's kernel transformation, Cai et al. 2020, section 3.3."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autopanoptic.nas import ElasticConv2d, FlopCount, Kernel, ModelSpace, ParameterCount, Supernet, Width
from autopanoptic.nas.supernet.uses import places_of_parameters, uses


class Net(ModelSpace):
    def __init__(self, transform: bool = True) -> None:
        super().__init__()
        width, kernel = Width("w", [2, 4]), Kernel("k", [3, 5, 7])
        self.first = ElasticConv2d(1, width, kernel, padding=kernel // 2, kernel_transform=transform)
        self.second = ElasticConv2d(
            width, width, kernel, padding=kernel // 2, groups="depthwise", kernel_transform=transform
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).relu())


@pytest.fixture
def supernet() -> Supernet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Supernet(Net())


def learn(supernet: Supernet) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in supernet.module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)


def picture() -> Tensor:
    return torch.randn(1, 1, 9, 9, generator=torch.Generator().manual_seed(1))


def test_it_is_the_centre_at_first(supernet: Supernet) -> None:
    plain = Supernet(Net(transform=False))
    plain.module.load_state_dict(
        {name: value for name, value in supernet.module.state_dict().items() if "transform" not in name}
    )
    for architecture in supernet.space:
        supernet.activate(architecture)
        plain.activate(architecture)
        torch.testing.assert_close(supernet(picture()), plain(picture()))


def test_kernels_are_made_one_from_another(supernet: Supernet) -> None:
    learn(supernet)
    conv: Any = supernet.module.get_submodule("first")
    assert [(name, tuple(p.shape)) for name, p in conv.named_parameters()][2:] == [
        ("kernel_transform_3", (9, 9)), ("kernel_transform_5", (25, 25))
    ]  # fmt: skip
    supernet.activate({"w": 2, "k": 3})
    found = conv.active_tensor("weight")
    for pair, kernel in zip(conv.weight[:2, 0], found[:, 0], strict=True):
        five = (conv.kernel_transform_5 @ pair[1:6, 1:6].flatten()).view(5, 5)
        three = (conv.kernel_transform_3 @ five[1:4, 1:4].flatten()).view(3, 3)
        torch.testing.assert_close(kernel, three)


def test_subnets_and_counts(supernet: Supernet) -> None:
    learn(supernet)
    plain = Supernet(Net(transform=False))
    flops, parameters = FlopCount(supernet, picture()), ParameterCount(supernet)
    for architecture in supernet.space:
        supernet.activate(architecture)
        network = supernet.subnet(architecture)
        assert torch.equal(network(picture()), supernet(picture()))
        assert {type(module) for module in network.children()} == {nn.Conv2d}
        assert parameters(architecture) == sum(p.numel() for p in network.parameters())
        assert flops(architecture) == FlopCount(plain, picture())(architecture)


def test_lower_precision_rounds_once(supernet: Supernet) -> None:
    learn(supernet)
    supernet.activate({"w": 2, "k": 3})
    network = supernet.subnet(supernet.active)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(network(picture()), supernet(picture()))


def test_matrices_learn_and_are_used_below_their_size(supernet: Supernet) -> None:
    places = places_of_parameters(supernet.module)
    for architecture in supernet.space:
        supernet.module.zero_grad(set_to_none=True)
        supernet.activate(architecture)
        supernet(picture()).square().sum().backward()
        for name, parameter in supernet.module.named_parameters():
            used = places[id(parameter)]
            assert uses([used], [architecture])[used] == (parameter.grad is not None), name


def test_it_needs_a_kernel_to_choose() -> None:
    with pytest.raises(ValueError, match=r"needs a Kernel, not kernel_size=\(3, 3\)"):
        ElasticConv2d(1, Width("w", [2, 4]), 3, kernel_transform=True)
    assert type(ElasticConv2d(1, 2, 3, kernel_transform=True)) is nn.Conv2d
