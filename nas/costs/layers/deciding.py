"""Which choices decide what a layer costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from torch import nn

from autopanoptic.nas.costs.layers.passes import Passes, Seen, Shapes
from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.space.space import SearchSpace
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


def layers_of(
    passes: Passes,
    is_layer: Callable[[nn.Module, Seen], bool],
    outcome: Callable[[Seen], Hashable],
    sizes: Callable[[nn.Module], Iterable[SizeChoice]],
) -> tuple[list[Layer], dict[Architecture, dict[str, Seen]]]:
    """Return the layers of a network, in the order of its modules, and the passes that told what decides their cost.

    That are the sizes of a layer itself; every choice that, varied alone, changes the outcome of the layer; and, where
    a layer stands in an option that did not run meanwhile, every choice that changes what is given to the place of
    that option. All options of a :class:`LayerChoice` and a :class:`Repeat` are tried, of sizes the two ends. That
    finds each choice that has an effect of its own where all sizes are largest and places have their first option.

    Args:
        passes: run as many passes as there are options, by and large.
        is_layer: whether a module that has run in a pass is a layer.
        outcome: what its cost follows from, such as its FLOPs, or the shapes of its inputs.
        sizes: the choices of sizes that are a layer's own.
    """
    network, space = passes.meta.module, passes.space
    effects, ran = _Effects(outcome), dict[str, Seen]()
    known: dict[Architecture, dict[str, Seen]] = {}
    for label, architectures in _probes(network, space):
        found = [known[a] if a in known else known.setdefault(a, passes(a)) for a in architectures]
        effects.see(label, found)
        for one in found:
            ran.update({name: seen for name, seen in one.items() if seen.flops or name not in ran})
    if not known:  # a space without choices
        known = {(only := passes.without_inactive({})): passes(only)}
        ran = known[only]
    modules, places, containers = dict(network.named_modules()), places_of(network), containers_of(network)
    layers = []
    for name, module in modules.items():
        if name in ran and is_layer(module, ran[name]):
            labels = effects.of(name, isinstance(module, ElasticLayer), containers[id(module)])
            labels |= {choice.label for choice in sizes(module)}
            if len(places[id(module)]) > 1:  # how often it runs
                labels |= {label for place in places[id(module)] for label, _ in place}
            ordered = tuple(choice.label for choice in space.choices if choice.label in labels)
            layers.append(Layer(tuple(dict.fromkeys(places[id(module)])), ordered, name, module))
    return layers, known


class _Effects:
    """Which choices have changed what, while all others stayed."""

    def __init__(self, outcome: Callable[[Seen], Hashable]) -> None:
        self._outcome = outcome
        self._changing: defaultdict[str, set[str]] = defaultdict(set)
        self._compared: defaultdict[str, set[str]] = defaultdict(set)
        self._given: defaultdict[str, dict[str, bool]] = defaultdict(dict)  # by module and label: channels alone?

    def see(self, label: str, found: Sequence[Mapping[str, Seen]]) -> None:
        """Take in passes that differ in one choice."""
        for name in {name for seen in found for name in seen}:
            present = [seen[name] for seen in found if name in seen]
            if len(present) > 1:
                self._compared[name].add(label)
            if len({self._outcome(one) for one in present}) > 1:
                self._changing[name].add(label)
            shapes = [one.shapes for one in present]
            if any(other != shapes[0] for other in shapes):
                alone = all(_differ_in_channels_alone(shapes[0], other) for other in shapes)
                self._given[name][label] = self._given[name].get(label, True) and alone

    def of(self, name: str, elastic: bool, containers: Sequence[str]) -> set[str]:
        """Return the choices that change a module's outcome.

        Args:
            name: of the module.
            elastic: whether channels that change are told by the module's own sizes.
            containers: the choices and repeats in which it stands.
        """
        found = set(self._changing[name])
        for container in containers:
            for label, channels_alone in self._given[container].items():
                if label not in self._compared[name] and not (elastic and channels_alone):
                    found.add(label)
        return found


def _differ_in_channels_alone(one: Shapes, other: Shapes) -> bool:
    """Return whether shapes are equal but for the channels of images and the features of rows."""
    return len(one) == len(other) and all(
        len(a) == len(b) and (a == b or (len(a) in (2, 4) and (a[0], *a[2:]) == (b[0], *b[2:])))
        for a, b in zip(one, other, strict=True)
    )


def _probes(network: nn.Module, space: SearchSpace) -> Iterator[tuple[str, list[Architecture]]]:
    """Yield each choice with architectures that differ in it alone."""
    sizes = {choice.label for module in network.modules() for choice in own_sizes(module)}
    deep = {module.label for module in network.modules() if isinstance(module, _nni.Repeat)}
    base = {c.label: c.options[-1 if c.label in sizes | deep else 0] for c in space.choices}

    def varied(label: str, context: Mapping[str, Option]) -> tuple[str, list[Architecture]]:
        options = space[label].options
        tried = (options[0], options[-1]) if label in sizes else options
        found = [space.without_inactive({**base, **context, label: option}) for option in tried]
        return label, list(dict.fromkeys(found))

    for choice in space.choices:
        yield varied(choice.label, reaching(space, choice.label, base))
    for module in network.modules():
        if isinstance(module, _nni.LayerChoice):
            for name in module.names:
                inside = {choice.label for part in module[name].modules() for choice in own_sizes(part)}
                context = {**reaching(space, module.label, base), module.label: name}
                yield from (varied(label, context) for label in sorted(inside))


def reaching(space: SearchSpace, label: str, base: Mapping[str, Option]) -> dict[str, Option]:
    """Return options under which a choice is made, those of ``base`` where they do."""
    found: dict[str, Option] = {}
    choice = space[label]
    while choice.conditions:
        fitting = [condition for condition in choice.conditions if base[condition[0]] in condition[1]]
        parent, allowed = (fitting or choice.conditions)[0]
        found[parent] = base[parent] if fitting else allowed[0]
        choice = space[parent]
    return found


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
