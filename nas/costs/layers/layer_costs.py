"""FLOPs and parameters of architectures as sums over their layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import torch

from autopanoptic.nas.costs.layers.deciding import Key
from autopanoptic.nas.costs.layers.passes import Formulas, Passes, Seen
from autopanoptic.nas.costs.layers.rates import RatedLayer, rate, rates_of
from autopanoptic.nas.costs.layers.weights import Weights
from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.supernet.supernet import Supernet

COMPARED = 16
"""How many architectures are counted in full before only ever fewer are."""


class LayerCosts:
    """The FLOPs of architectures, each the sum over its layers, of which a table knows the cost.

    Called on an architecture it gives what :class:`FlopCount` gives, but after some dozens of forward passes it looks
    up what each layer costs. Of an elastic layer that is the number of elements of its active weight times a rate: how
    often each is multiplied, so that widths need no passes. What decides a rate, such as the choices that change the
    size of the image, is found before the first answer: by passes in which every option and every place is met three
    times among other options, and by bisection where two of these differ; each choice that matters takes the logarithm
    of the number of choices, and one that does not takes none. Conditions and depths decide whether a layer counts at
    all. A pass of an architecture with a rate that is not known yet fills in all of its layers.

    Every pass is compared with what the table knew of each layer, and the first 16 architectures asked for, then the
    32nd, 64th, 128th, ... are counted in full for that. Where a layer depends on choices in a way that the first passes
    did not show, as on a combination that is rare, that raises an error, and :class:`FlopCount` has to be used. Between
    these an error could go unseen.

    Args:
        supernet: whose architectures are counted; its network must run on the meta device, without an
            :class:`InputChoice`.
        *inputs: example inputs, of which only shapes and types matter; those of the supernet by default.
        unit: what one FLOP is worth; 1e9 gives GFLOPs.
        formulas: as those of :class:`FlopCount`.

    Attributes:
        passes: the number of forward passes so far.

    Raises:
        ValueError: without inputs or with an :class:`InputChoice`; on use, for a layer that depends on other choices
            than was found; names it and two architectures.
    """

    def __init__(
        self, supernet: Supernet, *inputs: torch.Tensor, unit: float = 1.0, formulas: Formulas | None = None
    ) -> None:
        self.unit = unit
        self._space = supernet.space
        self._passes = Passes(supernet, inputs, formulas)
        self._weights = Weights(self._passes.meta.module)
        self._table: list[_Entries] | None = None
        self._groups: list[_Group] = []
        self._asked = 0

    @property
    def passes(self) -> int:
        """The number of forward passes so far."""
        return self._passes.count

    @property
    def layers(self) -> dict[str, tuple[str, ...]]:
        """The layers that multiply, each with the labels of the choices that decide its FLOPs."""
        order = [choice.label for choice in self._space.choices]
        layers = [entries.layer for entries in self._entries()]
        return {layer.name: tuple(label for label in order if label in layer.deciding) for layer in layers}

    def __call__(self, architecture: Mapping[str, Option]) -> float:
        """Return the FLOPs."""
        canonical = self._space.canonical(architecture)
        self._asked += 1
        if self._asked <= COMPARED or self._asked & (self._asked - 1) == 0:  # a power of two
            return self._filled(canonical)
        flops: int | Fraction = 0
        options = dict(canonical)  # a Mapping of one's own is slow to look up in
        self._entries()
        for group in self._groups:
            found = group.flops(options)
            if found is None:
                return self._filled(canonical)
            flops += found
        return int(flops) / 2 / self.unit

    def parameters(self, architecture: Mapping[str, Option]) -> float:
        """Return the number of parameters, as :class:`ParameterCount` without inputs; takes no forward pass."""
        return float(self._weights.count(dict(self._space.canonical(architecture))))

    def of_layers(self, architecture: Mapping[str, Option]) -> dict[str, float]:
        """Return the FLOPs of each layer of an architecture by its name in the supernet, in the unit."""
        self(architecture)
        options = dict(self._space.canonical(architecture))
        keys = [(entries, entries.layer.key(options)) for entries in self._entries()]
        flops = {e.layer.name: e.known[key][0] * e.layer.elements(options) for e, key in keys if key is not None}
        return {name: int(count) / 2 / self.unit for name, count in flops.items() if count}

    def _entries(self) -> list[_Entries]:
        if self._table is None:
            found, passes = rates_of(self._passes)
            table = [_Entries(layer) for layer in found]
            for shown in passes:
                _fill(table, shown.architecture, shown.seen)
            self._groups = _grouped(table)
            self._table = table  # last: other threads take it as the sign that all is there
        return self._table

    def _filled(self, architecture: Architecture) -> float:
        """Run an architecture, fill in what its layers cost, and return the sum."""
        seen = self._passes(architecture)
        _fill(self._entries(), architecture, seen)
        return sum(one.flops for one in seen.values()) / 2 / self.unit


@dataclass(eq=False)
class _Entries:
    """What is known of a layer: for the options that decide it the rate, and the architecture that showed it."""

    layer: RatedLayer
    known: dict[Key, tuple[int | Fraction, Architecture]] = field(default_factory=dict)


class _Group:
    """Layers whose FLOPs hang on the same few choices: their sum is looked up by the options of these at once."""

    def __init__(self, labels: tuple[str, ...], table: list[_Entries]) -> None:
        self._labels, self._table = labels, table
        self._known: dict[Key, int | Fraction] = {}

    def flops(self, options: Mapping[str, Option]) -> int | Fraction | None:
        """Return the sum in an architecture; None where a layer's rate is not known yet."""
        key = tuple(map(options.get, self._labels))
        known = self._known.get(key)
        if known is None and (known := self._sum(options)) is not None:
            self._known[key] = known
        return known

    def _sum(self, options: Mapping[str, Option]) -> int | Fraction | None:
        total = Fraction(0)
        for entries in self._table:
            key = entries.layer.key(options)
            if key is not None:
                if key not in entries.known:
                    return None
                total += entries.known[key][0] * entries.layer.elements(options)
        return total if total.denominator > 1 else int(total)  # a Fraction is slow to add


def _grouped(table: Iterable[_Entries]) -> list[_Group]:
    """Return the layers in groups, each with those that hang on all choices of the group or on some of them."""
    groups: dict[frozenset[str], list[_Entries]] = {}
    for entries in sorted(table, key=lambda one: -len(one.layer.reads)):
        labels = entries.layer.reads
        groups.setdefault(next((one for one in groups if labels <= one), labels), []).append(entries)
    return [_Group(tuple(labels), group) for labels, group in groups.items()]


def _fill(table: Iterable[_Entries], architecture: Architecture, seen: Mapping[str, Seen]) -> None:
    """Take in what a pass showed, and compare it with what is known."""
    rest, options = dict(seen), dict(architecture)
    for entries in table:
        layer, one = entries.layer, rest.pop(entries.layer.name, Seen())
        key = layer.key(options)
        if key is not None:
            elements = layer.elements(options)
            found, other = entries.known.setdefault(key, (rate(one.flops, elements), architecture))
            if found * elements != one.flops:
                raise ValueError(_refusal(layer, key, int(found * elements), other, one.flops, architecture))
        elif one.flops:
            raise ValueError(f"Layer {layer.name!r} runs in {architecture.id}, of which it is no part. Use FlopCount.")
    for name, one in rest.items():
        if one.flops:
            raise ValueError(
                f"Module {name!r} multiplies in {architecture.id}, but in none of the architectures that were to show "
                "all layers. Use FlopCount."
            )


def _refusal(
    layer: RatedLayer, key: Key, expected: int, other: Architecture, found: int, architecture: Architecture
) -> str:
    decided = f"with {layer.described(key)}" if layer.labels else "always"
    different = [label for label in architecture.keys() | other.keys() if architecture.get(label) != other.get(label)]
    return (
        f"Layer {layer.name!r} {decided} should have {expected / 2:g} FLOPs in {architecture.id}, as {other.id} shows, "
        f"but has {found / 2:g}; they differ in {sorted(different)}: its cost depends on choices in a way that was not "
        "found. Use FlopCount."
    )
