"""Layers whose FLOPs are a rate times the elements of their active weight: how often each element is multiplied."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from torch import nn

from autopanoptic.nas.costs.layers.covering import covering
from autopanoptic.nas.costs.layers.deciding import Key, Layer, containers_of, own_sizes, places_of
from autopanoptic.nas.costs.layers.explaining import Explained, Shown, Subject
from autopanoptic.nas.costs.layers.passes import Passes, Seen
from autopanoptic.nas.space.architecture import Option
from autopanoptic.nas.supernet.elastic.layer import ElasticLayer
from autopanoptic.nas.supernet.elastic.slices import Layout
from autopanoptic.nas.supernet.sites import Place

CHANNELS_FIXED = (nn.Linear, nn.modules.conv._ConvNd)
"""Torch's layers that take one number of channels alone."""


@dataclass(frozen=True, eq=False)
class RatedLayer(Layer):
    """A layer that multiplies; its labels are the choices that decide its rate, such as the size of the image does.

    Of an elastic layer with a weight the rate is for one element of the active weight, of any other it is all FLOPs.

    Attributes:
        sizes: the choices that its active weight has.
    """

    sizes: tuple[str, ...]
    _known: dict[Key, int] = field(default_factory=dict, repr=False)

    @property
    def deciding(self) -> frozenset[str]:
        """The choices that decide its FLOPs: of its rate and of its own sizes."""
        return frozenset({*self.labels, *(choice.label for choice in own_sizes(self.module))})

    def elements(self, options: Mapping[str, Option]) -> int:
        """Return the elements of its active weight in an architecture of which it is part."""
        key = tuple(options[label] for label in self.sizes)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = _elements(self.module, options)
        return found


def rates_of(passes: Passes) -> tuple[list[RatedLayer], list[Shown]]:
    """Return the layers of a network that multiply, in the order of its modules, and the passes that told so.

    A choice decides a layer's rate where passes show it; or where they show that it decides what is given to an option
    or repeat around the layer, and the layer itself has not been there with all of the choice's options.
    """
    network = passes.meta.module
    explained = Explained(passes, covering(passes.meta))
    multiplying = {name for shown in explained.shown for name, seen in shown.seen.items() if seen.flops}
    modules = {name: module for name, module in network.named_modules() if name in multiplying}
    places, containers = places_of(network), containers_of(network)
    subjects = {name: _rated(name, module, places[id(module)]) for name, module in modules.items()}
    named = dict(network.named_modules())
    around = {
        (name, channels): _given(name, places[id(named[name])], channels)
        for module in modules.values()
        for channels in [_takes_channels(module)]
        for name in containers[id(module)]
    }
    explained.explain([*subjects.values(), *around.values()])
    for name, module in modules.items():
        for container in containers[id(module)]:
            _take_over(subjects[name], around[container, _takes_channels(module)], explained.shown)
    order = [choice.label for choice in passes.space.choices]
    return [_layer(module, subjects[name], order) for name, module in modules.items()], list(explained.shown)


def rate(flops: int, elements: int) -> int | Fraction:
    """Return how often each element is multiplied."""
    return Fraction(flops, elements) if flops % elements else flops // elements


def _elements(module: nn.Module, options: Mapping[str, Option]) -> int:
    return math.prod(size.value(lambda choice: int(options[choice.label])) for size in _weight(module))


def _weight(module: nn.Module) -> Layout:
    """Return the sizes of a weight of which the active part changes; none where there is no such one."""
    layout = module.layout.get("weight", ()) if isinstance(module, ElasticLayer) else ()
    return layout if len(layout) > 1 else ()


def _takes_channels(module: nn.Module) -> bool:
    """Return whether a module may take other channels than its own sizes tell."""
    return not isinstance(module, (ElasticLayer, *CHANNELS_FIXED))


def _rated(name: str, module: nn.Module, places: Sequence[Place]) -> Subject:
    def value(shown: Shown) -> Hashable:
        return rate(shown.seen.get(name, Seen()).flops, _elements(module, shown.options))

    return Subject(name, tuple(dict.fromkeys(places)), value, _of_several(places))


def _given(name: str, places: Sequence[Place], channels: bool) -> Subject:
    """Return the shapes that are given to a module, with or without the channels."""

    def value(shown: Shown) -> Hashable:
        shapes = shown.seen.get(name, Seen()).shapes
        return shapes if channels else tuple(map(_without_channels, shapes))

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


def _layer(module: nn.Module, subject: Subject, order: Sequence[str]) -> RatedLayer:
    sizes = dict.fromkeys(choice.label for size in _weight(module) for choice in size.choices())
    labels = tuple(label for label in order if label in subject.labels)
    return RatedLayer(subject.places, labels, subject.name, module, tuple(sizes))
