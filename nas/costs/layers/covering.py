"""Architectures that together show every part of a network several times, each time among other options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from autopanoptic.nas.space.architecture import Option
from autopanoptic.nas.supernet.sites import Place, modules_of
from autopanoptic.nas.supernet.supernet import Supernet

TIMES = 3
"""How often each part is shown."""


def covering(supernet: Supernet) -> Iterator[dict[str, Option]]:
    """Yield options for every choice, also inactive ones, until each place and each option was there three times.

    Each puts together as many places as fit, those first that were there least; all else is drawn at random, the same
    every time.
    """
    rng = np.random.default_rng(0)
    left = dict.fromkeys(_parts(supernet), TIMES)
    options = {choice.label: choice.options for choice in supernet.space.choices}
    yielded = False
    while left or not yielded:
        drawn = {label: found[rng.integers(len(found))] for label, found in options.items()}
        fixed = dict[str, Option]()
        waiting = [list(left)[index] for index in rng.permutation(len(left))]
        for part in sorted(waiting, key=lambda part: -left[part]):
            if all(label not in fixed or fixed[label] in allowed for label, allowed in part):
                fixed |= {
                    label: drawn[label] if drawn[label] in allowed else _one(allowed, rng)
                    for label, allowed in part
                    if label not in fixed
                }
        drawn |= fixed
        yield drawn
        yielded = True
        left = {part: times - _holds(part, drawn) for part, times in left.items() if times > _holds(part, drawn)}


def _holds(part: Place, options: Mapping[str, Option]) -> bool:
    return all(options[label] in allowed for label, allowed in part)


def _one(allowed: tuple[Option, ...], rng: np.random.Generator) -> Option:
    return allowed[rng.integers(len(allowed))]


def _parts(supernet: Supernet) -> list[Place]:
    """Return the conditions of each place of the network and of each option, every choice once in each."""
    places = [place for _, place in modules_of(supernet.module)]
    for label, site in supernet.sites.items():
        places += [(*place, (label, (option,))) for place in site.places for option in site.values]
    found = (_at_once(place) for place in dict.fromkeys(places))
    return [place for place in dict.fromkeys(found) if place]


def _at_once(place: Place) -> Place:
    """Return the conditions with those of one choice as one; none where they exclude each other."""
    found: dict[str, tuple[Option, ...]] = {}
    for label, allowed in place:
        found[label] = tuple(option for option in found.get(label, allowed) if option in allowed)
    return tuple(found.items()) if all(found.values()) else ()
