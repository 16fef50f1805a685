"""Who shares which sizes: networks must not, as one object switches all layers that hold it; layers do."""

from __future__ import annotations

import weakref
from collections.abc import Iterator

from torch import nn

from autopanoptic.nas.supernet.elastic.layer import ElasticLayer, made_outside
from autopanoptic.nas.supernet.elastic.sizes import SizeChoice


def size_choices(network: nn.Module) -> Iterator[SizeChoice]:
    """Yield the choices of a network's elastic layers, one for each use."""
    for module in network.modules():
        if isinstance(module, ElasticLayer):
            yield from module.size_choices()


def claim(network: nn.Module) -> None:
    """Note that the choices of a network are its own, and name its elastic layers.

    Raises:
        ValueError: when another network has one of them.
    """
    for choice in size_choices(network):
        if choice.owner is not None and choice.owner() not in (None, network):
            raise ValueError(
                f"{choice!r} is in two networks, so that one would switch with the other. Make it inside of the "
                "network's constructor, from its label and numbers."
            )
        choice.owner = weakref.ref(network)
    for name, module in network.named_modules():
        if isinstance(module, ElasticLayer):
            module.path = name


def check_apart(network: nn.Module, other: nn.Module) -> None:
    """Check that a second network of the same class has choices of its own.

    Raises:
        RuntimeError: when the two share one.
    """
    ours = {id(choice) for choice in size_choices(network)}
    for choice in size_choices(other):
        if id(choice) in ours:
            raise RuntimeError(made_outside(choice))


def coupled(network: nn.Module) -> str | None:
    """Return which elastic layer's cost is a product of several choices, as a sentence; None where there is none."""
    for name, module in network.named_modules():
        if isinstance(module, ElasticLayer):
            choices = {choice.label: choice for choice in module.size_choices() if len(choice.options) > 1}
            if len(choices) > 1:
                shown = " and ".join(map(repr, choices.values()))
                return f"The cost of {type(module).__name__} {name!r} is no sum over the choices: {shown} multiply."
    return None
