"""How often the paths of a cycle use each parameter, and learning rates that are divided by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

from torch import nn
from torch.optim import Optimizer

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.supernet.elastic.layer import ElasticLayer
from autopanoptic.nas.supernet.sites import Place, modules_of

Places: TypeAlias = frozenset[Place]
"""Where in a network a parameter stands: a path uses it that reaches any of the places."""

ALWAYS: Places = frozenset({()})
"""The places of what every path uses, such as parameters outside of the network."""


def places_of_parameters(network: nn.Module) -> dict[int, Places]:
    """Return the places of each parameter of a network, by the parameter's ``id``.

    An elastic layer's parameter is used wherever the layer is, whatever its active part.
    """
    found: dict[int, set[Place]] = {}
    for module, place in modules_of(network):
        for name, parameter in module.named_parameters(recurse=False):
            inner = module.conditions(name) if isinstance(module, ElasticLayer) else ()
            found.setdefault(id(parameter), set()).add((*place, *inner))
    return {parameter: frozenset(places) for parameter, places in found.items()}


def uses(places: Iterable[Places], paths: Iterable[Architecture]) -> Counter[Places]:
    """Return how many of the paths reach any of the places, for each set of places."""
    distinct = set(places)
    return Counter(reached for path in paths for reached in distinct if any(_holds(p, path) for p in reached))


def _holds(place: Place, path: Architecture) -> bool:
    return all(label in path and path[label] in options for label, options in place)


def split_groups(optimizer: Optimizer, places: Mapping[int, Places]) -> None:
    """Split the parameter groups of a new optimizer, so that the parameters of a group are used by the same paths."""
    groups: list[dict[str, Any]] = []
    for group in optimizer.param_groups:
        parts: dict[Places, list[nn.Parameter]] = {}
        for parameter in group["params"]:
            parts.setdefault(places.get(id(parameter), ALWAYS), []).append(parameter)
        groups += [{**group, "params": part} for part in parts.values()]
    optimizer.param_groups = groups


@contextmanager
def divided_rates(optimizer: Optimizer, places: Mapping[int, Places], paths: Iterable[Architecture]) -> Iterator[None]:
    """Divide, for one update, the learning rate of each group by how many of the paths use its parameters.

    Args:
        optimizer: its groups are those of :func:`split_groups`.
        places: of the parameters.
        paths: whose gradients have been summed.
    """
    groups: list[dict[str, Any]] = optimizer.param_groups
    rates = [group["lr"] for group in groups]
    counts = uses([*places.values(), ALWAYS], paths)
    try:
        for group in groups:
            # Not in place: a rate may be a tensor, which groups share.
            group["lr"] = group["lr"] / max(1, counts[places.get(id(group["params"][0]), ALWAYS)])
        yield
    finally:
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate
