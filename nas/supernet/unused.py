"""Choices that a path makes without effect, because no :class:`InputChoice` takes what comes of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from autopanoptic.nas.space.architecture import Option
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.conditions import Condition
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.supernet import _nni
from autopanoptic.nas.supernet.dataflow import Dataflow, follow
from autopanoptic.nas.supernet.sites import Site
from autopanoptic.nas.supernet.state import evaluating

if TYPE_CHECKING:
    from autopanoptic.nas.supernet.supernet import Supernet

Exit: TypeAlias = tuple[str, int] | None
"""Where what a choice makes goes next: to a candidate of an InputChoice, or (None) to the output."""


def used_choices(supernet: Supernet, sites: Mapping[str, Site]) -> list[Choice]:
    """Return the choices of a network, each active only where its result can reach the output.

    The network runs once, and once more for each option inside which further choices stand. A choice that every way to
    the output leads through an :class:`InputChoice` is made only while that is made and takes what comes of it.
    Anything between is taken to pass its input on. A choice that has no way to the output at all is left as it is: its
    module may serve something else.

    Args:
        supernet: on the meta device, with example inputs and all its choices.
        sites: its choices.
    """
    exits: dict[str, set[Exit]] = defaultdict(set)
    with evaluating(supernet.module):
        for options in _covering(supernet.space, sites):
            supernet.activate(options)
            for label, found in exits_of(follow(supernet.module, supernet.inputs, choices=True)).items():
                exits[label] |= found
    choices = {label: site.choice() for label, site in sites.items()}
    for label, choice in choices.items():
        conditions = _conditions(sites[label], exits[label], sites)
        if conditions and not _circular(label, conditions, choices):
            choices[label] = Choice(label, choice.options, conditions, choice.weights)
    return list(choices.values())


def exits_of(dataflow: Dataflow) -> dict[str, set[Exit]]:
    """Return where the results of each choice go that was made in a forward pass."""
    operations = dataflow.operations
    ways: list[set[tuple[int, int] | None]] = [set() for _ in operations]
    for number in dataflow.outputs:
        ways[number].add(None)
    for number in reversed(range(len(operations))):
        for earlier in operations[number].reads:
            ways[earlier] |= ways[number]
        for index, offered in enumerate(operations[number].candidates if ways[number] else ()):
            for earlier in offered:
                ways[earlier].add((number, index))
    found: dict[str, set[Exit]] = defaultdict(set)
    for operation, own in zip(operations, ways, strict=True):
        for label in operation.choices:
            for way in own:
                if way is None:
                    found[label].add(None)
                elif label not in operations[way[0]].choices:  # else it is a way inside of the choice
                    found[label].add((operations[way[0]].choices[-1], way[1]))
    return found


def _covering(space: SearchSpace, sites: Mapping[str, Site]) -> Iterator[dict[str, Option]]:
    """Yield architectures in which every choice is made at least once, and every option that holds choices taken."""
    usual = {choice.label: choice.options[-_is_repeat(sites[choice.label])] for choice in space.choices}
    yield usual
    for parent in dict.fromkeys(label for choice in space.choices for label, _ in choice.conditions):
        for option in space[parent].options:
            yield {**usual, **reaching(space, parent), parent: option}


def _is_repeat(site: Site) -> bool:
    return isinstance(site.modules[0], _nni.Repeat)


def reaching(space: SearchSpace, label: str, usual: Mapping[str, Option] | None = None) -> dict[str, Option]:
    """Return options under which a choice is made, as many of them the usual ones as the first way to it allows."""
    found: dict[str, Option] = {}
    choice = space[label]
    while choice.conditions:
        parent, allowed = choice.conditions[0]
        option = None if usual is None else usual[parent]
        found[parent] = option if option is not None and option in allowed else allowed[0]
        choice = space[parent]
    return found


def _conditions(site: Site, exits: Iterable[Exit], sites: Mapping[str, Site]) -> list[Condition]:
    """Return under which options of the InputChoices that follow a choice has an effect; none where it always has."""
    taken: dict[str, set[int]] = defaultdict(set)
    for way in exits:
        if way is None:
            return []
        taken[way[0]].add(way[1])
    # A choice is active while any one of its conditions holds, so each must imply that its place is reached at all.
    if not all(_implies(sites[label].places, site.places) for label in taken):
        return []
    return [
        (label, tuple(option for option, indices in sites[label].values.items() if taken[label] & set(indices)))
        for label in sites
        if label in taken
    ]


def _implies(inner: Sequence[Sequence[Condition]], outer: Sequence[Sequence[Condition]]) -> bool:
    return all(any(set(place) <= set(deeper) for place in outer) for deeper in inner)


def _circular(label: str, conditions: Iterable[Condition], choices: Mapping[str, Choice]) -> bool:
    """Return whether a choice with these conditions would depend on itself."""
    waiting, seen = [parent for parent, _ in conditions], set[str]()
    while waiting:
        parent = waiting.pop()
        if parent == label:
            return True
        if parent not in seen:
            seen.add(parent)
            waiting += [further for further, _ in choices[parent].conditions]
    return False
