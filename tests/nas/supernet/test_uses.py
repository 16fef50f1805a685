from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import nn

from autopanoptic.nas import Architecture, Supernet
from autopanoptic.nas.supernet.uses import divided_rates, places_of_parameters, split_groups, uses


def test_uses_are_those_of_the_active_modules(supernet: Supernet) -> None:
    """Nested, tied and repeated choices, and a block that is registered under two names."""
    places = places_of_parameters(supernet.module)
    assert set(places) == {id(parameter) for parameter in supernet.module.parameters()}
    paths = list(supernet.space)[::97]
    expected: Counter[int] = Counter()
    for path in paths:
        supernet.activate(path)
        expected.update({id(p) for module in supernet.active_modules() for p in module.parameters(recurse=False)})
    counts = uses(places.values(), paths)
    assert {parameter: counts[place] for parameter, place in places.items()} == {p: expected[p] for p in places}


def test_a_network_without_choices_uses_everything() -> None:
    network = nn.Linear(2, 2)
    assert set(places_of_parameters(network).values()) == {frozenset({()})}


def test_a_rate_that_is_a_tensor_is_the_same_afterwards() -> None:
    network, rate = nn.Linear(2, 2), torch.tensor(0.1)
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    places = places_of_parameters(network)
    split_groups(optimizer, places)
    with divided_rates(optimizer, places, [Architecture({}), Architecture({})]):
        assert [float(group["lr"]) for group in optimizer.param_groups] == [pytest.approx(0.05)]
    assert [float(group["lr"]) for group in optimizer.param_groups] == [pytest.approx(0.1)]
    assert float(rate) == pytest.approx(0.1)
