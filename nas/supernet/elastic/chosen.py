"""The number that a size is while a single architecture is built."""

from __future__ import annotations

from typing import Any


class Chosen(int):
    """A chosen size; it knows the options' ends, for what depends on them, such as the channels in a group.

    Attributes:
        largest: with the largest option of every choice.
        smallest: with the smallest option of every choice.
    """

    largest: int
    smallest: int

    def __new__(cls, number: int, largest: int, smallest: int) -> Chosen:
        """Make the number."""
        found = super().__new__(cls, number)
        found.largest, found.smallest = largest, smallest
        return found

    def __getnewargs__(self) -> Any:
        return int(self), self.largest, self.smallest

    @classmethod
    def of(cls, number: int) -> Chosen:
        """Return a number that may be fixed."""
        return number if isinstance(number, Chosen) else cls(number, number, number)

    @property
    def active(self) -> int:
        """The number itself."""
        return int(self)

    def __add__(self, other: int) -> Chosen:
        added = Chosen.of(other)
        return Chosen(int(self) + int(added), self.largest + added.largest, self.smallest + added.smallest)

    def __mul__(self, times: int) -> Chosen:
        return Chosen(int(self) * times, self.largest * times, self.smallest * times)

    __rmul__ = __mul__

    def __floordiv__(self, by: int) -> Chosen:
        return Chosen(int(self) // by, self.largest // by, self.smallest // by)
