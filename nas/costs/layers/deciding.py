"""Which choices decide what a layer costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from torch import nn

from autopanoptic.nas.space.architecture import Option
from autopanoptic.nas.supernet import _nni
from autopanoptic.nas.supernet.elastic.layer import ElasticLayer
from autopanoptic.nas.supernet.elastic.sizes import SizeChoice
from autopanoptic.nas.supernet.sites import Place, modules_of

Key: TypeAlias = tuple[Option | None, ...]
"""The options of the choices that decide a layer's cost, in their order; None for one that is not made."""


@dataclass(frozen=True)
class Decided:
    """Something of a network whose cost few choices decide.

    Attributes:
        places: the conditions under which it is reached, one of which must hold.
        labels: the choices that decide its cost.
    """

    places: tuple[Place, ...]
    labels: tuple[str, ...]

    def key(self, options: Mapping[str, Option]) -> Key | None:
        """Return the options that decide its cost in an architecture; None where it is not reached."""
        for place in self.places:
            if all(options.get(label) in allowed for label, allowed in place):
                return tuple(map(options.get, self.labels))
        return None


@dataclass(frozen=True)
class Layer(Decided):
    """A module of a supernet that costs something; its labels are in the order of the space.

    Attributes:
        name: its name in the supernet.
        module: on the meta device.
    """

    name: str
    module: nn.Module

    def described(self, key: Key) -> str:
        """Return the options of a key with their labels, such as ``width=8, kernel=3``."""
        return ", ".join(
            f"{label}={option}" for label, option in zip(self.labels, key, strict=True) if option is not None
        )


def own_sizes(module: nn.Module) -> tuple[SizeChoice, ...]:
    """Return the choices of sizes that a module itself has, its children's left out."""
    return module.size_choices() if isinstance(module, ElasticLayer) else ()


def places_of(network: nn.Module) -> dict[int, list[Place]]:
    """Return the conditions under which each module is reached, by ``id``, once for each of its names."""
    found: dict[int, list[Place]] = {}
    for module, place in modules_of(network):
        found.setdefault(id(module), []).append(place)
    return found


def containers_of(network: nn.Module) -> dict[int, list[str]]:
    """Return the names of the choices and repeats in which each module stands, by ``id``."""
    names = {id(module): name for name, module in network.named_modules()}
    containers: dict[str, str] = {}
    found: dict[int, list[str]] = {}
    for name, module in network.named_modules(remove_duplicate=False):
        if isinstance(module, (_nni.LayerChoice, _nni.Repeat)):
            containers[name] = names[id(module)]
        parts = name.split(".")
        outer = [".".join(parts[:length]) for length in range(1, len(parts))]
        found.setdefault(id(module), []).extend(containers[prefix] for prefix in outer if prefix in containers)
    return found
