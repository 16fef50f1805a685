"""Which choices explain what passes of different architectures show of a module."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from autopanoptic.nas.costs.layers.covering import TIMES
from autopanoptic.nas.costs.layers.deciding import Decided, Key
from autopanoptic.nas.costs.layers.passes import Passes, Seen
from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.supernet.sites import Place

COMBINATIONS = 8
"""How many combinations of options of a subject's choices are met several times."""


@dataclass(eq=False)
class Shown:
    """A pass.

    Attributes:
        drawn: an option for every choice.
        architecture: what runs of it.
        seen: what each module did.
        options: those of the architecture.
    """

    drawn: Mapping[str, Option]
    architecture: Architecture
    seen: Mapping[str, Seen]
    options: Mapping[str, Option] = field(init=False)

    def __post_init__(self) -> None:
        self.options = dict(self.architecture)  # a Mapping of one's own is slow to look up in


@dataclass(eq=False)
class Subject:
    """Something of a module that few choices explain.

    Attributes:
        name: of the module.
        places: where it stands.
        value: what a pass in which it is reached shows.
        labels: the choices that explain it, as far as they are known.
    """

    name: str
    places: tuple[Place, ...]
    value: Callable[[Shown], Hashable]
    labels: set[str]

    def key(self, shown: Shown) -> Key | None:
        """Return the options of its labels; None where it is not reached."""
        return Decided(self.places, tuple(sorted(self.labels))).key(shown.options)


class _Conflict(NamedTuple):
    subject: Subject
    one: Shown
    other: Shown


class Explained:
    """Passes, and the fewest choices found that explain them.

    At first no choice explains anything. Where two passes differ in a subject although its choices have the same
    options, one is turned into the other choice by choice, and bisection finds one that changes the subject; until all
    passes are explained. That takes the logarithm of the number of choices for each choice that has an effect,
    and one that has none costs nothing.

    Args:
        passes: run architectures.
        drawn: options of the passes to begin with.
    """

    def __init__(self, passes: Passes, drawn: Iterable[Mapping[str, Option]]) -> None:
        self._passes = passes
        self._known: dict[Architecture, Shown] = {}
        for options in drawn:
            self._shown(options)

    @property
    def shown(self) -> Sequence[Shown]:
        """All passes."""
        return list(self._known.values())

    def explain(self, subjects: Sequence[Subject]) -> None:
        """Add to the labels of the subjects what explains all passes, also some more made to contradict.

        That options of a subject's choices have been met once explains nothing yet. So the first eight combinations of
        each subject are met three times, each time with other options of all other choices.
        """
        rng, tried = np.random.default_rng(0), set[tuple[object, ...]]()
        self._explain(subjects)
        while (rare := self._rare(subjects, tried)) is not None:
            subject, one, times = rare
            kept = self._needed(subject)
            for _ in range(TIMES - times):
                self._shown({c.label: _other(c, one, c.label in kept, rng) for c in self._passes.space.choices})
            self._explain(subjects)

    def _rare(self, subjects: Sequence[Subject], tried: set[tuple[object, ...]]) -> tuple[Subject, Shown, int] | None:
        """Return a subject, a pass whose options of the subject's choices are rare, and how often they were met."""
        alike = {(subject.places, frozenset(subject.labels)): subject for subject in subjects}
        for group, subject in alike.items():
            met: dict[Key, list[Shown]] = {}
            for shown in self._known.values():
                key = subject.key(shown)
                if key is not None:
                    met.setdefault(key, []).append(shown)
            for key, found in list(met.items())[:COMBINATIONS]:
                if len(found) < TIMES and (*group, key) not in tried:
                    tried.add((*group, key))
                    return subject, found[0], len(found)
        return None

    def _needed(self, subject: Subject) -> set[str]:
        """Return the choices that must stay for the subject to stay as it is."""
        needed, waiting = set[str](), [*subject.labels, *(label for place in subject.places for label, _ in place)]
        while waiting:
            label = waiting.pop()
            if label not in needed:
                needed.add(label)
                waiting += [parent for parent, _ in self._passes.space[label].conditions]
        return needed

    def _explain(self, subjects: Sequence[Subject]) -> None:
        waiting = list(subjects)
        while waiting:
            conflict = self._conflict(waiting[-1])
            if conflict is None:
                waiting.pop()
            else:
                label, before, after = self._bisected(conflict)
                for subject in subjects:  # those which it changed as well
                    if _differ(subject, before, after):
                        subject.labels.add(label)
                waiting = list(subjects)

    def _conflict(self, subject: Subject) -> _Conflict | None:
        known: dict[Key, tuple[Hashable, Shown]] = {}
        for shown in self._known.values():
            key = subject.key(shown)
            if key is not None:
                value = subject.value(shown)
                other, first = known.setdefault(key, (value, shown))
                if other != value:
                    return _Conflict(subject, first, shown)
        return None

    def _bisected(self, conflict: _Conflict) -> tuple[str, Shown, Shown]:
        """Return a choice, not yet among the labels, and two passes that differ in it and in the subject."""
        subject, one, other = conflict
        labels = [
            label for label in one.drawn if label not in subject.labels and one.drawn[label] != other.drawn[label]
        ]
        value, low, high = subject.value(one), 0, len(labels)
        before, after = one, other
        while high - low > 1:
            middle = (low + high) // 2
            shown = self._shown({**one.drawn, **{label: other.drawn[label] for label in labels[:middle]}})
            if subject.value(shown) == value:
                low, before = middle, shown
            else:
                high, after = middle, shown
        return labels[low], before, after

    def _shown(self, drawn: Mapping[str, Option]) -> Shown:
        architecture = self._passes.without_inactive(drawn)
        known = self._known.get(architecture)
        if known is None:
            known = self._known[architecture] = Shown(drawn, architecture, self._passes(architecture))
        # Of an architecture that is known the options of inactive choices are these now.
        return Shown(drawn, architecture, known.seen)


def _differ(subject: Subject, one: Shown, other: Shown) -> bool:
    if subject.key(one) is None or subject.key(other) is None:
        return False
    return subject.value(one) != subject.value(other)


def _other(choice: Choice, shown: Shown, kept: bool, rng: np.random.Generator) -> Option:
    """Return the option of a pass, or another one."""
    option = shown.drawn[choice.label]
    others = [option] if kept else [other for other in choice.options if other != option] or [option]
    return others[rng.integers(len(others))]
