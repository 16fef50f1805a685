"""The order of a space's choices: parents first."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from autopanoptic.nas.space.choice import Choice


def parents_first(choices: Sequence[Choice]) -> tuple[Choice, ...]:
    """Return the choices in the order given, but each after all of its parents.

    Raises:
        ValueError: for repeated labels, a condition on a label or an option that is not there, or conditions that form
            a cycle.
    """
    by_label = _by_label(choices)
    _check_conditions(by_label)
    place = {label: index for index, label in enumerate(by_label)}
    missing = {choice.label: {parent for parent, _ in choice.conditions} for choice in choices}
    children = defaultdict(list)
    for label, parents in missing.items():
        for parent in parents:
            children[parent].append(label)
    ready = [place[label] for label, parents in missing.items() if not parents]
    ordered: list[Choice] = []
    while ready:
        choice = choices[heapq.heappop(ready)]
        ordered.append(choice)
        for child in children[choice.label]:
            missing[child].discard(choice.label)
            if not missing[child]:
                heapq.heappush(ready, place[child])
    if len(ordered) < len(choices):
        waiting = by_label.keys() - {choice.label for choice in ordered}
        raise ValueError(f"The conditions of {sorted(waiting)} form a cycle.")
    return tuple(ordered)


def _by_label(choices: Sequence[Choice]) -> dict[str, Choice]:
    counts = Counter(choice.label for choice in choices)
    repeated = sorted(label for label, count in counts.items() if count > 1)
    if repeated:
        raise ValueError(f"Choices need different labels; repeated: {repeated}.")
    return {choice.label: choice for choice in choices}


def _check_conditions(by_label: Mapping[str, Choice]) -> None:
    options = {label: set(choice.options) for label, choice in by_label.items()}
    for label, choice in by_label.items():
        for parent, allowed in choice.conditions:
            if parent not in by_label:
                raise ValueError(f"Choice {label!r} depends on {parent!r}, which is not in the space.")
            missing = [option for option in allowed if option not in options[parent]]
            if missing:
                raise ValueError(
                    f"Choice {label!r} depends on option {missing[0]!r} of {parent!r}, "
                    f"which has {list(by_label[parent].options)}."
                )
