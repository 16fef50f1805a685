"""A table of every architecture of a space with what was measured of it, in place of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from autopanoptic.nas import SearchSpace
from autopanoptic.nas.space.architecture import Option

Column = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """What was measured of every architecture of a space.

    Args:
        name: which table it is, for the results.
        space: the search space; every architecture that it can yield has a row.
        columns: by name, shape (rows,). Names are "measure/data set", such as ``test200/cifar10`` (percent) or
            ``latency_ms/pixel2`` (milliseconds), or a measure alone.
        rows: the row of the options of all choices, in the space's order.
        fingerprint: ten hexadecimal digits that depend on the contents.
        members: the rows that the space's architectures have, shape (members,); all rows where it has no symmetries.
    """

    name: str
    space: SearchSpace
    columns: Mapping[str, Column] = field(repr=False)
    rows: Mapping[tuple[Option, ...], int] = field(repr=False)
    fingerprint: str
    members: NDArray[np.intp] = field(repr=False)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The labels of the choices, in the space's order."""
        return tuple(choice.label for choice in self.space.choices)

    def row(self, values: Mapping[str, Option]) -> int:
        """Return the row of an architecture.

        Raises:
            KeyError: when it is not in the table.
        """
        return self.rows[tuple(values[label] for label in self.labels)]

    def column(self, name: str) -> Column:
        """Return a column, shape (rows,).

        Raises:
            ValueError: names the columns that there are.
        """
        if name not in self.columns:
            raise ValueError(f"Table {self.name} has no column {name!r}; it has {', '.join(sorted(self.columns))}.")
        return self.columns[name]

    def datasets(self, measure: str) -> list[str]:
        """Return the data sets for which there is a measure, in the table's order.

        Raises:
            ValueError: when there is none.
        """
        found = [name.partition("/")[2] for name in self.columns if name.startswith(f"{measure}/")]
        if not found:
            raise ValueError(f"Table {self.name} has no {measure!r}; it has {', '.join(sorted(self.columns))}.")
        return found

    def best(self, column: str) -> float:
        """Return the largest value that an architecture of the space has."""
        return float(self.column(column)[self.members].max())
