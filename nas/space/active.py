"""The active options among what a user or a file gives for an architecture."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.space.choice import Choice


class ActiveOptions:
    """Takes the options of the active choices, in the space's order and as the space itself has them.

    1, 1.0 and True are equal but are written differently, and a file has no members of an ``Enum``.

    Args:
        choices: parents first.
    """

    def __init__(self, choices: Sequence[Choice]) -> None:
        self._choices = choices
        self._own = {choice.label: {option: option for option in choice.options} for choice in choices}
        self._labels = tuple(self._own)
        self._all_active = not any(choice.conditions for choice in choices)

    def __call__(self, values: Mapping[str, Option]) -> Architecture:
        """Return their architecture.

        Raises:
            ValueError: names an unknown label, a missing choice or an unknown option.
        """
        if self._all_active and len(values) == len(self._own):
            try:
                options = tuple([own[values[label]] for label, own in self._own.items()])
            except (KeyError, TypeError):
                return self._checked(values)  # which says what is wrong
            return Architecture.packed(self._labels, options, zip(self._labels, options, strict=True))
        return self._checked(values)

    def _checked(self, values: Mapping[str, Option]) -> Architecture:
        options: dict[str, Option] = {}
        for choice, (label, own) in zip(self._choices, self._own.items(), strict=True):
            if choice.conditions and not choice.active(options):
                continue
            if label not in values:
                raise ValueError(f"The architecture lacks choice {label!r}, one of {list(choice.options)}.")
            option = values[label]
            if not isinstance(option, Hashable) or option not in own:
                raise ValueError(f"Choice {label!r} has no option {option!r}; it has {list(choice.options)}.")
            options[label] = own[option]
        if len(options) < len(values):
            unknown = [label for label in values if label not in self._own]
            if unknown:
                raise ValueError(f"The space has no choice {unknown[0]!r}; it has {[c.label for c in self._choices]}.")
        return Architecture.of_own(options)
