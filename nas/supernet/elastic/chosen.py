"""The number that a size is while a single architecture is built."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

Part: TypeAlias = int | tuple[str, tuple[int, ...]]
"""A number; or a choice's label and what a size is for each option, in ascending order."""


class Chosen(int):
    """A chosen size; it knows what it is in every architecture, of which layers with groups of channels need the ends.

    It equals another chosen size where both are equal in every architecture, as sizes do in the supernet, so that a
    constructor that asks ``given != made`` builds the same in both. Beside a plain number it is a number.

    Args:
        number: the size in this architecture.
        parts: what stands after each other in it, as :func:`merged` gives it.
    """

    parts: tuple[Part, ...]

    def __new__(cls, number: int, parts: Iterable[Part]) -> Chosen:
        """Make the number."""
        found = super().__new__(cls, number)
        found.parts = merged(parts)
        return found

    def __getnewargs__(self) -> Any:
        return int(self), self.parts

    @classmethod
    def of(cls, number: int) -> Chosen:
        """Return a number that may be fixed."""
        return number if isinstance(number, Chosen) else cls(number, [int(number)])

    @property
    def largest(self) -> int:
        """The size with the largest option of every choice."""
        return sum(part if isinstance(part, int) else part[1][-1] for part in self.parts)

    @property
    def smallest(self) -> int:
        """The size with the smallest option of every choice."""
        return sum(part if isinstance(part, int) else part[1][0] for part in self.parts)

    @property
    def active(self) -> int:
        """The number itself."""
        return int(self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Chosen) and self.parts != other.parts:
            return False
        return int.__eq__(self, other)  # type: ignore[operator, no-any-return, unused-ignore]

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = int.__hash__

    def __add__(self, other: int) -> Chosen:
        added = Chosen.of(other)
        return Chosen(int(self) + int(added), (*self.parts, *added.parts))

    def __mul__(self, times: int) -> Chosen:
        return self._each(lambda number: number * int(times))

    __rmul__ = __mul__

    def __floordiv__(self, by: int) -> Chosen:
        return self._each(lambda number: number // int(by))

    def _each(self, change: Callable[[int], int]) -> Chosen:
        parts = [
            change(part) if isinstance(part, int) else (part[0], tuple(map(change, part[1]))) for part in self.parts
        ]
        return Chosen(change(int(self)), parts)


def merged(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Return parts in the one form that all have which are equal in every architecture, however they are written."""
    found: list[Part] = []
    for part in parts:
        number = part if isinstance(part, int) else part[1][0] if len(set(part[1])) == 1 else None
        if number is None:
            found.append(part)
        elif found and isinstance(found[-1], int):
            found[-1] += number
        else:
            found.append(number)
    return tuple(found)
