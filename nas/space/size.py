"""The exact number of architectures of a search space."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal

from autopanoptic.nas.space.architecture import Option
from autopanoptic.nas.space.choice import Choice


def count_architectures(choices: Sequence[Choice]) -> int:
    """Return how many architectures the choices, parents first, have.

    Groups of choices without a condition between them multiply. Within a group the choices are decided one by one,
    and what is kept is the number of ways to every combination of the options that later conditions ask for. Children
    are decided right after their parents, so that few combinations are alive at a time.
    """
    return math.prod(_count_group(_children_early(group)) for group in _groups(choices))


def rounded(size: int) -> str:
    """Return a number of architectures to four digits; it may be beyond the range of floats."""
    return f"{Decimal(size):.4g}"


def _groups(choices: Iterable[Choice]) -> list[list[Choice]]:
    """Split into groups that no condition connects."""
    groups: list[list[Choice]] = []
    for choice in choices:
        parents = {label for label, _ in choice.conditions}
        joined = [group for group in groups if parents & {member.label for member in group}]
        groups = [group for group in groups if group not in joined]
        groups.append([member for group in joined for member in group] + [choice])
    return groups


def _children_early(group: list[Choice]) -> list[Choice]:
    """Order depth first: a choice, then the children that it was the last parent of."""
    ordered: dict[str, Choice] = {}
    stack = [choice for choice in reversed(group) if not choice.conditions]
    while stack:
        choice = stack.pop()
        ordered[choice.label] = choice
        for child in reversed(group):
            parents = {label for label, _ in child.conditions}
            if choice.label in parents and parents <= ordered.keys():
                stack.append(child)
    return list(ordered.values())


def _count_group(group: list[Choice]) -> int:
    ways: Counter[tuple[tuple[str, Option], ...]] = Counter({(): 1})
    for index, choice in enumerate(group):
        needed = {label for later in group[index + 1 :] for label, _ in later.conditions}
        following: Counter[tuple[tuple[str, Option], ...]] = Counter()
        for key, number in ways.items():
            kept = tuple(item for item in key if item[0] in needed)
            if not choice.active(dict(key)):
                following[kept] += number
            elif choice.label not in needed:
                following[kept] += number * len(choice.options)
            else:
                for option in choice.options:
                    following[(*kept, (choice.label, option))] += number
        ways = following
    return sum(ways.values())
