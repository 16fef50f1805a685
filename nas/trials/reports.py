"""The partial results of one trial."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias, overload

PartialResult: TypeAlias = tuple[int, Mapping[str, float]]
"""A step, and the metrics that were reported after it."""


class Reports(Sequence[PartialResult]):
    """An immutable sequence of partial results, to which another can be added in constant time.

    A trial is replaced at each report, so copying what stands before would cost a square of their number. All that grow
    from one another share one list, of which each shows a beginning.

    Args:
        values: (step, metrics) in the order in which they came.
    """

    __slots__ = ("_length", "_shared")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, values: Iterable[PartialResult] = ()) -> None:
        self._shared = list(values)
        self._length = len(self._shared)

    def followed_by(self, step: int, metrics: Mapping[str, float]) -> Reports:
        """Return these reports and one more. Only one thread at a time may call it."""
        # Beginnings without reports are shared by trials that have nothing in common.
        can_grow = self._length and len(self._shared) == self._length
        shared = self._shared if can_grow else self._shared[: self._length]
        shared.append((step, metrics))
        longer = Reports()
        longer._shared, longer._length = shared, self._length + 1
        return longer

    def continues(self, earlier: Reports) -> bool:
        """Return whether these are the earlier ones, with none or more behind them; constant time, by identity."""
        return self._shared is earlier._shared and self._length >= earlier._length

    @overload
    def __getitem__(self, index: int) -> PartialResult: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[PartialResult, ...]: ...
    def __getitem__(self, index: int | slice) -> PartialResult | tuple[PartialResult, ...]:
        if isinstance(index, slice):
            return tuple(self._shared[place] for place in range(*index.indices(self._length)))
        return self._shared[range(self._length)[index]]

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[PartialResult]:
        return (self._shared[place] for place in range(self._length))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (Reports, tuple)) and tuple(self) == tuple(other)

    def __repr__(self) -> str:
        return repr(tuple(self))

    def __reduce__(self) -> tuple[type[Reports], tuple[tuple[PartialResult, ...]]]:
        return type(self), (tuple(self),)


NO_REPORTS = Reports()
"""What every trial begins with."""
