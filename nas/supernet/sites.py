"""Reads the choices of a network that is built with NNI's mutable modules and elastic layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from torch import nn

from autopanoptic.nas.space.architecture import Option
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.conditions import Condition
from autopanoptic.nas.supernet import _nni
from autopanoptic.nas.supernet.elastic.layer import ElasticLayer
from autopanoptic.nas.supernet.elastic.sizes import SizeChoice
from autopanoptic.nas.supernet.mutables import InputChoice
from autopanoptic.nas.supernet.per_depth import PerDepth

Place: TypeAlias = tuple[Condition, ...]
"""The conditions under which a place in the network is reached, outermost first; all hold together."""


@dataclass
class Site:
    """All places in a network at which one choice is made."""

    label: str
    values: dict[Option, Any]
    switch: str
    """The attribute of its modules that holds the value of the active option."""
    modules: list[Any] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    tied: bool = True
    weights: tuple[float, ...] | None = None

    def choice(self) -> Choice:
        """Return the search space's choice: active while any of its places is."""
        conditions = () if () in self.places else dict.fromkeys(place[-1] for place in self.places)
        return Choice(self.label, self.values, list(conditions), self.weights)


def choices_of(module: nn.Module) -> list[Choice]:
    """Return the choices of a network, in the order of its modules."""
    return [site.choice() for site in sites_of(module).values()]


def sites_of(module: nn.Module) -> dict[str, Site]:
    """Return the places of every choice by label.

    Raises:
        ValueError: for a label that stands twice without ``tied=True``, different options or kinds of choices under one
            label, tied choices of which one is reached without the other and holds choices of its own, a label that NNI
            made up, or a mutable module that cannot be switched in place.
    """
    sites: dict[str, Site] = {}
    for mutable, place in _mutables(module):
        label, values = mutable.label, mutable_values(mutable)
        if "/" in label:
            raise ValueError(f"Label {label!r} has a '/', as labels have that NNI makes up; give an explicit one.")
        weights = getattr(mutable, "option_weights", None)
        site = sites.setdefault(label, Site(label, values, switch_of(mutable), weights=weights))
        if list(site.values) != list(values):
            raise ValueError(f"Label {label!r} stands for {list(site.values)} and for {list(values)}; rename one.")
        if site.weights != weights:
            raise ValueError(f"Label {label!r} has the weights {site.weights} and {weights}; give all the same.")
        kinds = [_kind(mutable), *map(_kind, site.modules[:1])]
        if len(set(kinds)) > 1:
            raise ValueError(f"Label {label!r} stands for a {kinds[1].__name__} and a {kinds[0].__name__}; rename one.")
        if not any(known is mutable for known in site.modules):
            site.modules.append(mutable)
            site.tied = site.tied and getattr(mutable, "tied", False)
        site.places.append(place)
        if len(site.modules) > 1 and not site.tied:
            raise ValueError(
                f"Label {label!r} stands at {len(site.modules)} choices. Give each its own label, or tied=True to "
                "all of them if they shall always take the same option. (Inside Repeat, build the label from the "
                "index.)"
            )
    for site in sites.values():
        site.places = _essential(site.places, sites)
    _check_parents(sites)
    return sites


def _essential(places: Sequence[Place], sites: Mapping[str, Site]) -> list[Place]:
    """Return places that are reached whenever any of the given ones is, as few as possible.

    Places under all options of one choice are that choice's own place, also where it has a single one; a place inside
    another adds nothing.
    """
    decided = [tuple(one for one in place if not set(one[1]).issuperset(sites[one[0]].values)) for place in places]
    found = dict.fromkeys(decided)
    for place in sorted(decided, key=len, reverse=True):
        while place:
            *outer, (label, _) = place
            place = tuple(outer)
            inside = [other[-1] for other in found if other and other[:-1] == place and other[-1][0] == label]
            if not {option for _, options in inside for option in options}.issuperset(sites[label].values):
                break
            found[place] = None
    return [place for place in found if not any(set(other) < set(place) for other in found)]


def _check_parents(sites: dict[str, Site]) -> None:
    """Check that the last condition of each place says it all.

    A choice of a search space knows one label and its options. Where a tied parent is reached at two places and only
    one holds the child, the parent's option does not tell whether the child is there.
    """
    for site in sites.values():
        known = [set(place) for place in site.places]
        for last in dict.fromkeys(place[-1] for place in site.places if place):
            for parent in sites[last[0]].places:
                if not any(place <= {*parent, last} for place in known):
                    raise ValueError(
                        f"Choice {site.label!r} stands inside {last[0]!r}, which is tied and also stands where "
                        f"{site.label!r} does not. Give the two places different labels, or the same choices inside."
                    )


def modules_of(module: nn.Module, place: Place = ()) -> Iterator[tuple[nn.Module, Place]]:
    """Yield every module of a network with the conditions under which it is reached, once for each of its names."""
    yield module, place
    if isinstance(module, _nni.LayerChoice):
        for name in module.names:
            yield from modules_of(module[name], (*place, (module.label, (name,))))
    elif isinstance(module, _nni.Repeat):
        for index, block in enumerate(module.blocks):
            yield from modules_of(block, (*place, *_reached(module, index)))
    elif not isinstance(module, _nni.InputChoice):
        # named_children() would hide a module that is registered under a second name.
        for child in module._modules.values():
            if child is not None:
                yield from modules_of(child, place)


def _reached(repeat: Any, index: int) -> Place:
    """Return the condition under which a block of a stack, or a module of a depth, runs; none where it always does."""
    if isinstance(repeat, PerDepth):
        return ((repeat.label, (repeat.min_depth + index,)),)
    if index < repeat.min_depth:
        return ()
    return ((repeat.label, tuple(range(index + 1, repeat.max_depth + 1))),)


def selects_inputs(network: nn.Module) -> bool:
    """Return whether an :class:`InputChoice` decides what of the network its output uses."""
    return any(isinstance(module, _nni.InputChoice) for module in network.modules())


def _mutables(network: nn.Module) -> Iterator[tuple[Any, Place]]:
    for module, place in modules_of(network):
        if isinstance(module, (_nni.LayerChoice, _nni.InputChoice)):
            yield module, place
        elif isinstance(module, ElasticLayer):
            for choice in module.size_choices():
                yield choice, place
        elif isinstance(module, _nni.Repeat):
            _refuse_odd_depth(module)
            if module.label is not None:
                yield module, place
        else:
            _refuse_other_mutables(module)


def _kind(mutable: Any) -> type:
    """Return what a label stands for: choices of one label must be of one kind."""
    if isinstance(mutable, SizeChoice):
        return type(mutable)
    kinds: tuple[type, ...] = (_nni.LayerChoice, _nni.InputChoice, _nni.Repeat)
    return next(kind for kind in kinds if isinstance(mutable, kind))


def _refuse_odd_depth(repeat: Any) -> None:
    if repeat.label is None and not isinstance(repeat.depth_choice, int):
        raise ValueError(f"Repeat with depth {repeat.depth_choice!r}: use a number or (fewest, most).")


def _refuse_other_mutables(module: nn.Module) -> None:
    if isinstance(module, _nni.MutableModule) and (
        not isinstance(module, _nni.ModelSpace) or getattr(module, "_mutables", None)
    ):
        raise ValueError(
            f"{type(module).__name__} cannot be switched in place; express it with LayerChoice, InputChoice or Repeat, "
            "a size by Width or Kernel in elastic layers, and another value by a LayerChoice of modules made with each."
        )


def mutable_values(module: Any) -> dict[Option, Any]:
    """Return NNI's value of each option of a mutable module."""
    if isinstance(module, SizeChoice):
        return {option: option for option in module.options}
    if isinstance(module, _nni.LayerChoice):
        return {name: name for name in module.names}
    if isinstance(module, _nni.InputChoice):
        selections = InputChoice.combinations(module.n_candidates, module.n_chosen)
        if module.n_chosen == 1:
            return {indices[0]: list(indices) for indices in selections}
        return {"+".join(map(str, indices)): list(indices) for indices in selections}
    return {depth: depth for depth in range(module.min_depth, module.max_depth + 1)}


def switch_of(module: Any) -> str:
    """Return the attribute of a mutable module that holds the value of its active option."""
    if isinstance(module, SizeChoice):
        return "_active"
    return "_dry_run_depth" if isinstance(module, _nni.Repeat) else "_dry_run_choice"
