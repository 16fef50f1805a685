"""How sure the differences between the networks are.

A difference D is the mean over S seeds of the paired differences d_s, of two networks that were trained with the same
seed and are measured on the same images. Its variance is taken to be the sum of two parts:

- images: val's images are drawn again with replacement, the same draws for all networks and seeds, and D computed on
  each draw (paired bootstrap); the variance of these values.
- seeds: the variance of the d_s around D over S, where the variance is the mean over all networks compared of their own
  (one degree of freedom each with two seeds is too little for any of them alone).

"At equal cost", d_s is not taken to the hand-made network but to its width curve: PQ linear in the logarithm of GFLOPs
between the hand-made network in three widths, of the same seed and draw, and continued with the slope of the outer
parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.operators.counts import Counts, pq_of, resampled
from benchmarks.operators.networks import HAND_MADE, WIDTHS

DRAWS = 2000
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A difference in PQ and its standard errors, in points.

    Attributes:
        value: Mean over the seeds.
        images: Standard error from the choice of images.
        seeds: Standard error from the trainings; None where no network has two seeds.
    """

    value: float
    images: float
    seeds: float | None

    @property
    def error(self) -> float | None:
        """The standard error of both parts."""
        return None if self.seeds is None else float(np.hypot(self.images, self.seeds))

    @property
    def differs(self) -> bool:
        """Whether the difference is more than two standard errors."""
        return self.error is not None and abs(self.value) > 2 * self.error


@dataclass(frozen=True)
class Measured:
    """A network's trainings after so many passes.

    Attributes:
        gflops: Of one image.
        pq: (S, 1 + B): of each seed, PQ on all images and on each draw.
    """

    gflops: float
    pq: Values


def draws_of(images: int, seed: int = 0, count: int = DRAWS) -> NDArray[np.int64]:
    """Return how often each draw holds each image, (B, images)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(images, np.full(images, 1 / images), size=count)


def measured(gflops: float, counts: Sequence[Counts], draws: NDArray[np.int64]) -> Measured:
    """Return a network's PQ from its counts, those of each seed."""
    return Measured(gflops, np.stack([np.concatenate([[pq_of(c)], resampled(c, draws)]) for c in counts]))


def differences(networks: Mapping[str, Measured]) -> dict[str, Estimate]:
    """Return what each network but the hand-made one has more than it."""
    base = networks[HAND_MADE].pq
    return _estimates({name: one.pq - base for name, one in networks.items() if name != HAND_MADE})


def at_equal_cost(networks: Mapping[str, Measured]) -> dict[str, Estimate]:
    """Return what each network off the hand-made network's width curve has more than it at the network's cost.

    Nothing is returned where the curve's networks are not all there.
    """
    if any(name not in networks for name in WIDTHS):
        return {}
    curve = [networks[name] for name in WIDTHS]
    return _estimates(
        {name: one.pq - on_curve(curve, one.gflops) for name, one in networks.items() if name not in WIDTHS}
    )


def on_curve(curve: Sequence[Measured], gflops: float) -> Values:
    """Return the PQ at a cost on the line through some networks, which are sorted by cost, over the log of the cost."""
    costs = np.log([network.gflops for network in curve])
    cost = np.log(gflops)
    right = int(np.clip(np.searchsorted(costs, cost), 1, len(curve) - 1))
    share = (cost - costs[right - 1]) / (costs[right] - costs[right - 1])
    return curve[right - 1].pq * (1 - share) + curve[right].pq * share


def _estimates(found: Mapping[str, Values]) -> dict[str, Estimate]:
    """Turn (S, 1 + B) differences into estimates."""
    spreads = [float(values[:, 0].var(ddof=1)) for values in found.values() if len(values) > 1]
    return {
        name: Estimate(
            float(values[:, 0].mean()),
            float(values[:, 1:].mean(axis=0).std(ddof=1)),
            float(np.sqrt(np.mean(spreads) / len(values))) if spreads else None,
        )
        for name, values in found.items()
    }
