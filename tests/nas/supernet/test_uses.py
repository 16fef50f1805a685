from __future__ import annotations

from collections import Counter

from torch import nn

from autopanoptic.nas import Supernet
from autopanoptic.nas.supernet.uses import places_of_parameters, uses


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
