"""A memory of what is known of architectures, bounded by the size of these."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress

from autopanoptic.nas.space.architecture import Architecture

OPTIONS = 2_000_000
"""How many options all remembered architectures may have together; about 150 MB."""


class Remembered:
    """The outcomes of costs by architecture and name; what was asked for longest ago is forgotten first.

    Every space that is small enough to be looked through as a whole (100,000 architectures, so no more than 17 choices
    of each) fits, so that a second walk through it costs nothing. Of a network with 500 choices it keeps 4,000.

    Args:
        options: the limit on the number of options.
    """

    def __init__(self, options: int = OPTIONS) -> None:
        self._most = options
        self._options = 0
        self._known: OrderedDict[Architecture, dict[str, float | str]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def of(self, architecture: Architecture) -> dict[str, float | str]:
        """Return the outcomes by name, to be read and added to: a cost's value, or what is wrong with it."""
        known = self._known.get(architecture)
        if known is not None:
            with suppress(KeyError):  # another thread made room
                self._known.move_to_end(architecture)
            return known
        self._options += len(architecture) + 1
        while self._options > self._most and self._known:
            forgotten, _ = self._known.popitem(last=False)
            self._options -= len(forgotten) + 1
        return self._known.setdefault(architecture, {})
