"""A walk through all combinations of options, one after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autopanoptic.nas.space.architecture import Option
from autopanoptic.nas.space.choice import Choice

INACTIVE = -1


def combinations(choices: Sequence[Choice]) -> Iterator[dict[str, Option]]:
    """Yield the options of every architecture of choices, parents first, in lexicographic order.

    Like an odometer, it keeps one combination alone, so that the number of choices is not limited by recursion.
    """
    places = [INACTIVE] * len(choices)
    options: dict[str, Option] = {}
    changed = 0
    while True:
        for index in range(changed, len(choices)):
            choice = choices[index]
            if choice.active(options):
                places[index] = 0
                options[choice.label] = choice.options[0]
        yield dict(options)
        changed = _advance(choices, places, options)
        if not changed:
            return


def _advance(choices: Sequence[Choice], places: list[int], options: dict[str, Option]) -> int:
    """Give the last choice that has one its next option, take the later ones back, and return the place after it."""
    for index in reversed(range(len(choices))):
        choice, place = choices[index], places[index] + 1
        if place and place < len(choice.options):
            places[index] = place
            options[choice.label] = choice.options[place]
            return index + 1
        places[index] = INACTIVE
        options.pop(choice.label, None)
    return 0
