"""A loss on the order of paths that a cheap proxy expects."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from autopanoptic.nas.space.architecture import Architecture


class PairwiseRanking:
    """Penalises pairs of paths whose losses on a batch stand in another order than a cheap proxy's values.

    Of two paths, the one of the higher proxy should have the lower loss; the penalty is by how much its loss is higher,
    max(0, loss(higher) - loss(lower)). "Prior-guided one-shot neural architecture search" (Dong et al. 2022, arXiv
    2206.13329) adds such a ranking loss for pairs of paths, with FLOPs or the Zen score as the proxy. As in its
    published code, the gradient flows through the path that runs later alone, so that one graph is held at a time: a
    later path of the higher proxy is trained harder, one of the lower proxy is held back.

    A cycle of two paths is the paper's pair. In a longer one each path is compared with all before it, and the
    penalties are averaged over those. Paths of equal proxy are not compared. Where one path teaches the others, its
    loss, by other labels, is not compared with theirs. In a distributed training each process compares the losses of
    its own part of the batch.

    Args:
        proxy: of an architecture; higher is expected to be better. Worked out once for each.
        weight: of the penalty; a number, or a function of the pass at which the cycle begins. Later code of the paper's
            first author takes 2 sin(0.8 pi e/E) in epoch e of E: it begins with 0.

    Raises:
        ValueError: when the weight is negative or no number.
    """

    def __init__(self, proxy: Callable[[Architecture], float], weight: float | Callable[[int], float] = 1.0) -> None:
        if not callable(weight):
            _checked(weight, "always")
        self.weight = weight
        self._proxy = proxy
        self._known: dict[Architecture, float] = {}

    def penalty(self, path: Architecture, loss: Tensor, before: Sequence[tuple[Architecture, Tensor]]) -> Tensor:
        """Return the unweighted penalty of a path, a scalar.

        Args:
            path: what ran.
            loss: its loss, with its graph.
            before: the paths that ran before it on the same batch, and their losses.
        """
        pairs = [
            (loss - other.detach()) * (1 if self.proxy(path) > self.proxy(earlier) else -1)
            for earlier, other in before
            if self.proxy(path) != self.proxy(earlier)
        ]
        return torch.stack(pairs).clamp_min(0).mean() if pairs else torch.zeros_like(loss)

    def weight_at(self, step: int) -> float:
        """Return the weight in the cycle that begins at a pass.

        Raises:
            ValueError: when it is negative or no number.
        """
        return _checked(self.weight(step), f"at pass {step}") if callable(self.weight) else self.weight

    def proxy(self, path: Architecture) -> float:
        """Return the proxy of a path.

        Raises:
            ValueError: when it is no finite number; names the path.
        """
        if path not in self._known:
            value = float(self._proxy(path))
            if not math.isfinite(value):
                raise ValueError(f"The proxy of {dict(path)} is {value}; it must be a finite number.")
            self._known[path] = value
        return self._known[path]


def _checked(weight: float, when: str) -> float:
    if not 0 <= weight < math.inf:
        raise ValueError(f"The weight of the ranking loss is {weight} {when}; it must be a number of at least 0.")
    return weight
