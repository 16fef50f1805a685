"""Finds the layers of a network, and the choices that decide what passes show of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeAlias

from torch import nn

from autopanoptic.nas.costs.layers.covering import covering
from autopanoptic.nas.costs.layers.deciding import containers_of, places_of
from autopanoptic.nas.costs.layers.explaining import Explained, Shown, Subject
from autopanoptic.nas.costs.layers.passes import Passes, Seen, Shapes
from autopanoptic.nas.supernet.elastic.layer import ElasticLayer
from autopanoptic.nas.supernet.sites import Place

CHANNELS_FIXED = (nn.Linear, nn.modules.conv._ConvNd)
"""Torch's layers that take one number of channels alone."""

Outcome: TypeAlias = Callable[[nn.Module, Shown, Seen], Hashable]
"""What a layer's cost follows from, beside its own sizes: of the module, a pass, and what that shows of the module."""


def find_layers(
    passes: Passes, is_layer: Callable[[nn.Module, Seen], bool], outcome: Outcome
) -> tuple[list[tuple[nn.Module, Subject]], list[Shown]]:
    """Return the layers of a network, in the order of its modules, each explained; and the passes that told so.

    A choice decides a layer's outcome where passes show it; or where they show that it decides what is given to an
    option or repeat around the layer, and the layer itself has not been there with all of the choice's options.

    Args:
        passes: run architectures.
        is_layer: whether a module is a layer, by what any pass shows of it.
        outcome: of a layer.
    """
    network = passes.meta.module
    explained = Explained(passes, covering(passes.meta))
    named = dict(network.named_modules())
    found = {name for shown in explained.shown for name, seen in shown.seen.items() if is_layer(named[name], seen)}
    modules = {name: module for name, module in named.items() if name in found}
    places, containers = places_of(network), containers_of(network)
    subjects = {name: _layer(name, module, places[id(module)], outcome) for name, module in modules.items()}
    around = {
        (name, channels): _given(name, places[id(named[name])], channels)
        for module in modules.values()
        for channels in [takes_channels(module)]
        for name in containers[id(module)]
    }
    explained.explain([*subjects.values(), *around.values()])
    for name, module in modules.items():
        for container in containers[id(module)]:
            _take_over(subjects[name], around[container, takes_channels(module)], explained.shown)
    return [(module, subjects[name]) for name, module in modules.items()], list(explained.shown)


def takes_channels(module: nn.Module) -> bool:
    """Return whether a module may take other channels than its own sizes tell."""
    return not isinstance(module, (ElasticLayer, *CHANNELS_FIXED))


def given_shapes(seen: Seen, channels: bool) -> Shapes:
    """Return the shapes that are given to a module, with or without the channels."""
    return seen.shapes if channels else tuple(map(_without_channels, seen.shapes))


def _layer(name: str, module: nn.Module, places: Sequence[Place], outcome: Outcome) -> Subject:
    def value(shown: Shown) -> Hashable:
        return outcome(module, shown, shown.seen.get(name, Seen()))

    return Subject(name, tuple(dict.fromkeys(places)), value, _of_several(places))


def _given(name: str, places: Sequence[Place], channels: bool) -> Subject:
    def value(shown: Shown) -> Hashable:
        return given_shapes(shown.seen.get(name, Seen()), channels)

    return Subject(name, tuple(dict.fromkeys(places)), value, _of_several(places))


def _of_several(places: Sequence[Place]) -> set[str]:
    """Return the choices that decide how often something runs that stands in several places."""
    return {label for place in places for label, _ in place} if len(places) > 1 else set()


def _without_channels(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of images or rows without the channels."""
    return (shape[0], *shape[2:]) if len(shape) in (2, 4) else shape


def _take_over(subject: Subject, around: Subject, shown: Sequence[Shown]) -> None:
    for label in around.labels - subject.labels:
        inside = {one.options.get(label) for one in shown if subject.key(one) is not None}
        outside = {one.options.get(label) for one in shown if around.key(one) is not None}
        if inside != outside:
            subject.labels.add(label)
