"""The number of architectures of a search space: exact, or a lower bound where counting would take too long."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from autopanoptic.nas.space.choice import Choice

WORK = 500_000
"""Steps (states times kinds of options) that counting the architectures of a group of choices may take."""


class Size(NamedTuple):
    """A number of architectures.

    Attributes:
        number: the number, or what it is at least.
        exact: whether it is the number itself.
    """

    number: int
    exact: bool

    def __str__(self) -> str:
        """Four digits; the number may be beyond the range of floats."""
        return f"{'' if self.exact else 'more than '}{Decimal(self.number):.4g}"


def count_architectures(choices: Sequence[Choice]) -> Size:
    """Return how many architectures the choices, parents first, have.

    Groups of choices without a condition between them multiply. Within a group the choices are decided one by one, and
    what is kept is the number of ways to each set of later choices that are on already: which option turned a choice on
    does not matter, so that a choice with 100 parents has two states. Where many conditions overlap, so that the sets
    would take more than 500,000 steps, the rarest sets are replaced by what they have in common. With fewer choices on
    there are never more architectures, so the number is then a lower bound.
    """
    sizes = [_count_group(group) for group in _groups(choices)]
    return Size(math.prod(size.number for size in sizes), all(size.exact for size in sizes))


def _groups(choices: Sequence[Choice]) -> list[list[Choice]]:
    """Split into groups that no condition connects, each in the order of the choices."""
    root = {choice.label: choice.label for choice in choices}

    def find(label: str) -> str:
        while root[label] != label:
            root[label] = label = root[root[label]]
        return label

    for choice in choices:
        for parent, _ in choice.conditions:
            root[find(parent)] = find(choice.label)
    groups: defaultdict[str, list[Choice]] = defaultdict(list)
    for choice in choices:
        groups[find(choice.label)].append(choice)
    return list(groups.values())


def _children_early(group: Sequence[Choice]) -> list[Choice]:
    """Order depth first: a choice, then the children that it was the last parent of, then these children's siblings.

    A child that waits for further parents calls for them next, so that few choices are undecided but on at a time.
    """
    by_label = {choice.label: choice for choice in group}
    missing = {choice.label: dict.fromkeys(label for label, _ in choice.conditions) for choice in group}
    children: defaultdict[str, list[str]] = defaultdict(list)
    for label, parents in missing.items():
        for parent in parents:
            children[parent].append(label)
    ordered: dict[str, Choice] = {}
    called: set[str] = set()
    stack = [label for label in reversed(by_label) if not missing[label]]
    while stack:
        label = stack.pop()
        if label in ordered or missing[label]:
            continue
        ordered[label] = by_label[label]
        for child in children[label]:
            del missing[child][label]
        waiting = [child for child in children[label] if missing[child] and child not in called]
        called.update(waiting)
        stack += [parent for child in reversed(waiting) for parent in reversed(missing[child])]
        stack += [child for child in reversed(children[label]) if not missing[child]]
    return list(ordered.values())


def _count_group(group: Sequence[Choice]) -> Size:
    ordered = _children_early(group)
    effects = _effects(ordered)
    ways, exact = Counter({0: 1}), True  # by the bits of the later choices that are on
    for index, choice in enumerate(ordered):
        most = max(1, WORK // len(ordered) // len(effects[index]))
        if len(ways) > most:
            ways, exact = _merged(ways, most), False
        bit = 1 << index
        following: Counter[int] = Counter()
        for state, number in ways.items():
            if choice.conditions and not state & bit:
                following[state] += number
                continue
            for turned_on, options in effects[index].items():
                following[(state | turned_on) & ~bit] += number * options
        ways = following
    return Size(sum(ways.values()), exact)


def _effects(ordered: Sequence[Choice]) -> list[Counter[int]]:
    """Return, for each choice, how many of its options turn on each set of later choices, as bits."""
    place = {choice.label: index for index, choice in enumerate(ordered)}
    on = [dict.fromkeys(choice.options, 0) for choice in ordered]
    for index, choice in enumerate(ordered):
        for parent, allowed in choice.conditions:
            for option in allowed:
                on[place[parent]][option] |= 1 << index
    return [Counter(options.values()) for options in on]


def _merged(ways: Counter[int], most: int) -> Counter[int]:
    """Return at most so many states: those of the most ways, and one for what all others have in common."""
    ranked = ways.most_common()
    kept = Counter(dict(ranked[: most - 1]))
    rest = ranked[most - 1 :]
    common = rest[0][0]
    for state, _ in rest:
        common &= state
    kept[common] += sum(number for _, number in rest)
    return kept
