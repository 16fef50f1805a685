"""Architectures as rows of numbers."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.space.choice import Choice

INACTIVE = -1


class OneHot:
    """One column per option: 1 where an architecture takes it, else 0.

    Args:
        choices: of the space, in order.

    Attributes:
        columns: the column by label and option.
        width: the number of columns.
    """

    def __init__(self, choices: Sequence[Choice]) -> None:
        numbers = itertools.count()
        self.columns: dict[str, dict[Option, int]] = {
            choice.label: {option: next(numbers) for option in choice.options} for choice in choices
        }
        self.width = next(numbers)

    def places(self, architectures: Iterable[Architecture]) -> NDArray[np.int32]:
        """Return the column of each choice's option, shape (n, choices); -1 for an inactive choice."""
        columns = list(self.columns.items())
        rows = [[of[a[label]] if label in a else INACTIVE for label, of in columns] for a in architectures]
        return np.array(rows, dtype=np.int32).reshape(len(rows), len(columns))

    def rows(self, places: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return the one-hot rows of :meth:`places`, shape (n, width)."""
        encoded = np.zeros((len(places), self.width))
        row, choice = np.nonzero(places != INACTIVE)
        encoded[row, places[row, choice]] = 1
        return encoded

    def __call__(self, architectures: Iterable[Architecture]) -> NDArray[np.float64]:
        """Return an array of shape (n, width) of 0 and 1; an inactive choice has only zeros."""
        rows, columns, width = list(architectures), self.columns, self.width
        ones = [row * width + columns[label][option] for row, a in enumerate(rows) for label, option in a.items()]
        encoded = np.zeros((len(rows), width))
        encoded.reshape(-1)[ones] = 1
        return encoded
