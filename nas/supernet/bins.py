"""Paths whose costs are spread evenly, where random ones crowd around the mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.constrained import InfeasibleError
from autopanoptic.nas.space.space import SearchSpace

PROBED = 500
"""Random paths that show what a space's paths cost."""
ATTEMPTS = 20_000
"""Random paths that are tried for one in a bin."""
_TAILS = (2.0, 98.0)
"""Percentiles between which bins lie that only a number is given for."""


class BinnedPaths:
    """Uniform paths within bins of a cost, each bin equally often.

    The sum of many choices' costs lies near its mean, so that uniform paths leave the cheap and the dear untrained.
    Single-path one-shot's supernets (Guo et al. 2020, in its code) and DetNAS' (Chen et al. 2019) draw a bin of FLOPs
    first, and then a path in it, which every path of the bin is as likely to be. Here the bins are dealt: of as many
    consecutive passes as there are bins each trains one of every bin, in random order. A path depends on (seed, pass)
    alone.

    Attributes:
        cycle: 1, for each path may be an update of its own.
        edges: the bounds of the bins in ascending order, one more than there are bins; a bin holds its lower bound.

    Args:
        space: where the paths come from.
        cost: of an architecture, such as :class:`FlopCount` or, much faster, :class:`LayerCosts`.
        bins: the bounds of the bins, as single-path one-shot's ``range(290, 361, 10)`` in MFLOPs; or how many of the
            same width there are between the 2nd and the 98th percentile of the costs of 500 random paths.
        seed: non-negative.

    Raises:
        ValueError: when the bounds are no ascending numbers, or a bin is met by none of 500 random paths; says what
            they cost.
    """

    cycle = 1

    def __init__(
        self,
        space: SearchSpace,
        cost: Callable[[Architecture], float],
        bins: int | Sequence[float] = 7,
        seed: int = 0,
    ) -> None:
        self.space = space
        self.cost = cost
        self.seed = seed
        rng = np.random.default_rng([seed, 2])
        costs = np.array([cost(space.sample(rng)) for _ in range(PROBED)])
        self.edges = _edges(bins, costs)
        self._require_met(costs)

    def path(self, step: int) -> Architecture:
        """Return the architecture of forward pass ``step``, from 0.

        Raises:
            InfeasibleError: when 20,000 random paths have missed the pass' bin.
        """
        low, high = self.bin(step)
        rng = np.random.default_rng([self.seed, 1, step])
        for _ in range(ATTEMPTS):
            path = self.space.sample(rng)
            if low <= self.cost(path) < high:
                return path
        raise InfeasibleError(
            f"None of {ATTEMPTS:,} random paths costs between {low:g} and {high:g}. Take fewer or wider bins."
        )

    def bin(self, step: int) -> tuple[float, float]:
        """Return the bounds of the bin in which the path of a pass lies."""
        turn, place = divmod(step, len(self.edges) - 1)
        order = np.random.default_rng([self.seed, 0, turn]).permutation(len(self.edges) - 1)
        return self.edges[order[place]], self.edges[order[place] + 1]

    def _require_met(self, costs: np.ndarray) -> None:
        for low, high in pairwise(self.edges):
            if not ((low <= costs) & (costs < high)).any():
                raise ValueError(
                    f"None of {PROBED:,} random paths costs between {low:g} and {high:g}: they cost {costs.min():g} to "
                    f"{costs.max():g}, half of them {np.percentile(costs, 25):g} to {np.percentile(costs, 75):g}. Take "
                    "fewer or wider bins."
                )


def _edges(bins: int | Sequence[float], costs: np.ndarray) -> tuple[float, ...]:
    """Return the bounds of the bins."""
    if isinstance(bins, (int, np.integer)):
        if bins < 1:
            raise ValueError(f"At least 1 bin is needed, not {bins}.")
        low, high = np.percentile(costs, _TAILS)
        if low == high:
            raise ValueError(f"Nearly all paths cost {low:g}, so there is nothing to spread. Use UniformPaths.")
        # The upper bound is none of its bin, so that one a little higher takes in a path that costs just as much.
        return tuple(np.linspace(low, np.nextafter(high, np.inf), bins + 1).tolist())
    edges = tuple(float(edge) for edge in bins)
    if len(edges) < 2 or not all(a < b for a, b in pairwise(edges)):
        raise ValueError(f"Bins are bounded by at least two ascending numbers, not {list(bins)}.")
    return edges
