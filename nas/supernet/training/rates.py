"""Learning rates that depend on the path."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from torch.optim import Optimizer

from autopanoptic.nas.space.architecture import Architecture

PathRate: TypeAlias = Callable[[Architecture, int], float]
"""Takes a path and the pass at which its cycle begins; returns what multiplies the learning rate, at least 0."""


class ComplexityRate:
    """Learning rates that fall more slowly for larger paths, which need longer to converge.

    The complexity-aware learning rate scheduler (CaLR) of Jeon et al. 2025 ("Subnet-aware dynamic supernet training for
    neural architecture search", CVPR, arXiv 2503.10740), by its published code: pass t of T has (1 - t/T)^g of the
    learning rate, where g falls linearly in the logarithm of the path's complexity, from ``most`` for the smallest path
    to 1/``most`` for the largest. It stands in place of a schedule of the learning rate; one that is given as well
    multiplies it.

    Args:
        cost: the complexity of an architecture, above 0; parameters in the paper. Worked out once for each.
        largest: the architecture of the highest cost, see :func:`extremes`; costs beyond it count as its own.
        smallest: the architecture of the lowest cost.
        passes: T, the passes of the whole training.
        most: the highest exponent; 4 in the paper's code.

    Raises:
        ValueError: when the largest does not cost more than the smallest, or a number is out of range.
    """

    def __init__(
        self,
        cost: Callable[[Architecture], float],
        largest: Architecture,
        smallest: Architecture,
        passes: int,
        most: float = 4.0,
    ) -> None:
        if passes < 1 or not most >= 1:
            raise ValueError(f"passes={passes}, most={most}: both must be at least 1.")
        self._cost = cost
        self._known: dict[Architecture, float] = {}
        self.passes = passes
        self.most = most
        self._low, self._high = self._size(smallest), self._size(largest)
        if not self._low < self._high:
            raise ValueError(
                f"The largest path costs {math.exp(self._high):g}, the smallest {math.exp(self._low):g}: give the "
                "largest first, and a cost by which they differ."
            )

    def __call__(self, path: Architecture, step: int) -> float:
        """Return what multiplies the learning rate of a path at a pass, 0 to 1."""
        return float(max(0.0, 1 - step / self.passes) ** self.exponent(path))

    def exponent(self, path: Architecture) -> float:
        """Return how fast the path's learning rate falls: 1/most to most, 1 being linear."""
        place = (self._size(path) - self._low) / (self._high - self._low)
        return self.most + min(1.0, max(0.0, place)) * (1 / self.most - self.most)

    def _size(self, path: Architecture) -> float:
        if path not in self._known:
            value = float(self._cost(path))
            if not 0 < value < math.inf:
                raise ValueError(f"The cost of {dict(path)} is {value}; its logarithm needs a finite number above 0.")
            self._known[path] = math.log(value)
        return self._known[path]


def factors_of(rate: PathRate, paths: Sequence[Architecture], first: int) -> list[float]:
    """Return what multiplies the learning rate of each path of the cycle that begins at a pass.

    Raises:
        ValueError: when a factor is negative or no number; names the path.
    """
    found = [float(rate(path, first)) for path in paths]
    for path, factor in zip(paths, found, strict=True):
        if not 0 <= factor < math.inf:
            raise ValueError(
                f"The learning rate of {dict(path)} at pass {first} is multiplied by {factor}; it must be a number of "
                "at least 0."
            )
    return found


@contextmanager
def scaled_rates(optimizer: Optimizer, factor: float) -> Iterator[None]:
    """Multiply, for one update, all learning rates by a factor."""
    rates = [group["lr"] for group in optimizer.param_groups]
    try:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        yield
    finally:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
