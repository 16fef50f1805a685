"""The parameters of architectures as sums over the layers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from autopanoptic.nas.costs.layers.deciding import Decided, Key
from autopanoptic.nas.space.architecture import Option
from autopanoptic.nas.supernet.elastic.layer import ElasticLayer
from autopanoptic.nas.supernet.elastic.sizes import ElasticSize
from autopanoptic.nas.supernet.sites import Place, modules_of


@dataclass(frozen=True)
class _Owner:
    """A module's claim to a parameter: where the module is reached, and how large the parameter then is."""

    place: Place
    layout: tuple[ElasticSize, ...] | None
    elements: int

    def size(self, options: Mapping[str, Option]) -> int:
        if self.layout is None:
            return self.elements
        # A choice is made wherever a layer is reached that needs it.
        return math.prod(size.value(lambda choice: int(options[choice.label])) for size in self.layout)


class Weights:
    """The parameters of a network by the conditions under which they count; no forward pass is needed.

    Args:
        network: of a supernet.
    """

    def __init__(self, network: nn.Module) -> None:
        owners: dict[int, list[_Owner]] = {}
        for module, place in modules_of(network):
            for number, owner in _owners(module, place):
                owners.setdefault(number, []).append(owner)
        times: dict[tuple[_Owner, ...], int] = {}
        for group in owners.values():
            alike = tuple(dict.fromkeys(group))
            times[alike] = times.get(alike, 0) + 1
        self._groups = [_Group(group, count) for group, count in times.items()]

    def count(self, options: Mapping[str, Option]) -> int:
        """Return the number of elements in a canonical architecture; a parameter of several modules counts once."""
        return sum(group.count(options) for group in self._groups)


class _Group:
    """Parameters that count under the same conditions and have the same sizes."""

    def __init__(self, owners: Sequence[_Owner], times: int) -> None:
        self._owners, self._times = owners, times
        sizes = [size for owner in owners for size in owner.layout or ()]
        labels = dict.fromkeys(choice.label for size in sizes for choice in size.choices())
        if len(owners) > 1:  # whose size it has
            labels.update(dict.fromkeys(label for owner in owners for label, _ in owner.place))
        self._decided = Decided(tuple(owner.place for owner in owners), tuple(labels))
        self._known: dict[Key, int] = {}

    def count(self, options: Mapping[str, Option]) -> int:
        key = self._decided.key(options)
        if key is None:
            return 0
        if key not in self._known:
            reached = [o for o in self._owners if all(options.get(label) in allowed for label, allowed in o.place)]
            self._known[key] = reached[-1].size(options) * self._times
        return self._known[key]


def _owners(module: nn.Module, place: Place) -> Iterator[tuple[int, _Owner]]:
    """Yield the ``id`` of each parameter of a module itself with the module's claim."""
    for name, parameter in module._parameters.items():
        if parameter is None:
            continue
        if not isinstance(module, ElasticLayer):
            yield id(parameter), _Owner(place, None, parameter.numel())
        elif module.has_in_subnet(name):
            yield id(parameter), _Owner(place, tuple(module.layout[name]), parameter.numel())
