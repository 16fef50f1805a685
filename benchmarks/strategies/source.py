"""Where a table comes from; small enough to be sent to worker processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.strategies import graph, npz
from benchmarks.strategies.table import Table


@dataclass(frozen=True)
class Source:
    """A file, or a data set of NAS-Bench-Graph.

    Args:
        path: an ``.npz`` file.
        dataset: of the package ``nas-bench-graph``, instead of a file.
        merged: whether isomorphic cells of NAS-Bench-201 are one architecture.

    Raises:
        ValueError: when neither or both are given.
    """

    path: Path | None = None
    dataset: str | None = None
    merged: bool = False

    def __post_init__(self) -> None:
        if (self.path is None) == (self.dataset is None):
            raise ValueError("Give a table: either --table FILE.npz or --graph DATASET (of nas-bench-graph).")
        if self.dataset is not None and self.merged:
            raise ValueError("NAS-Bench-Graph is always merged; leave --merged out.")

    def load(self) -> Table:
        """Read the table."""
        if self.path is not None:
            return npz.load(self.path, self.merged)
        assert self.dataset is not None
        return graph.load(self.dataset)
