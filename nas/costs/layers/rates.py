"""Layers whose FLOPs are a rate times the elements of their active weight: how often each element is multiplied."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from torch import nn

from autopanoptic.nas.costs.layers.deciding import Key, Layer, own_sizes
from autopanoptic.nas.costs.layers.explaining import Shown, Subject
from autopanoptic.nas.costs.layers.finding import find_layers
from autopanoptic.nas.costs.layers.passes import Passes, Seen
from autopanoptic.nas.space.architecture import Option
from autopanoptic.nas.supernet.elastic.layer import ElasticLayer
from autopanoptic.nas.supernet.elastic.slices import Layout


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

    @property
    def reads(self) -> frozenset[str]:
        """The choices that its FLOPs hang on, those that decide whether it is reached included."""
        return frozenset({*self.labels, *self.sizes, *(label for place in self.places for label, _ in place)})

    def elements(self, options: Mapping[str, Option]) -> int:
        """Return the elements of its active weight in an architecture of which it is part."""
        key = tuple(options[label] for label in self.sizes)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = _elements(self.module, options)
        return found


def rates_of(passes: Passes) -> tuple[list[RatedLayer], list[Shown]]:
    """Return the layers of a network that multiply, in the order of its modules, and the passes that told so."""

    def rate_of(module: nn.Module, shown: Shown, seen: Seen) -> int | Fraction:
        return rate(seen.flops, _elements(module, shown.options))

    found, passed = find_layers(passes, lambda _, seen: seen.flops > 0, rate_of)
    order = [choice.label for choice in passes.space.choices]
    return [_layer(module, subject, order) for module, subject in found], passed


def rate(flops: int, elements: int) -> int | Fraction:
    """Return how often each element is multiplied."""
    return Fraction(flops, elements) if flops % elements else flops // elements


def _elements(module: nn.Module, options: Mapping[str, Option]) -> int:
    return math.prod(size.value(lambda choice: int(options[choice.label])) for size in _weight(module))


def _weight(module: nn.Module) -> Layout:
    """Return the sizes of a weight of which the active part changes; none where there is no such one."""
    layout = module.layout.get("weight", ()) if isinstance(module, ElasticLayer) else ()
    return layout if len(layout) > 1 else ()


def _layer(module: nn.Module, subject: Subject, order: Sequence[str]) -> RatedLayer:
    sizes = dict.fromkeys(choice.label for size in _weight(module) for choice in size.choices())
    labels = tuple(label for label in order if label in subject.labels)
    return RatedLayer(subject.places, labels, subject.name, module, tuple(sizes))
