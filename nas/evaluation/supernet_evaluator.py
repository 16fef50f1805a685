"""One-shot evaluation: a candidate is a path of a trained supernet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from autopanoptic.nas.evaluation.evaluator import Metrics, Report, context_of, with_report
from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.supernet.batch_norm import recalibrated
from autopanoptic.nas.supernet.state import evaluating, seeded
from autopanoptic.nas.supernet.supernet import Supernet


class SupernetEvaluator:
    """Evaluates an architecture as a path of a trained supernet.

    The path is activated, its batch-norm statistics re-estimated, and the network, in evaluation mode and without
    gradients, is given to ``validate``. Afterwards the statistics and the mode are as before, also after an error.

    Args:
        supernet: with trained weights.
        validate: takes the network, or the network and ``report``, and returns metrics.
        recalibrate_with: batches that are gone through for each candidate; None to keep the supernet's statistics,
            which mix all paths.
        forward: runs the network on one of these batches; ``network(batch)`` by default.
        seed: seeds the global generators of torch, numpy and Python for each candidate, so that loaders which shuffle
            give all of them the same batches; a search that repeats evaluations adds the number of each. Afterwards the
            generators are as they were.

    Raises:
        TypeError: when ``recalibrate_with`` can be gone through only once.
    """

    def __init__(
        self,
        supernet: Supernet,
        validate: Callable[..., Metrics],
        *,
        recalibrate_with: Iterable[Any] | None = None,
        forward: Callable[[nn.Module, Any], object] | None = None,
        seed: int = 0,
    ) -> None:
        if isinstance(recalibrate_with, Iterator):
            raise TypeError("recalibrate_with is an iterator, which only the first candidate would see; give a list.")
        self.supernet = supernet
        self.validate = validate
        self.recalibrate_with = recalibrate_with
        self.forward = forward
        self.seed = seed
        self._validate = with_report(validate)

    def evaluate(self, architecture: Architecture, report: Report) -> Metrics:
        """Return the metrics of a path."""
        supernet, network = self.supernet, self.supernet.module
        supernet.activate(architecture)
        with seeded(self.seed + context_of(report).repeat):
            batches = self.recalibrate_with
            own = nullcontext() if batches is None else recalibrated(supernet, batches, self.forward)
            with own, evaluating(network), torch.no_grad():
                found: Metrics = self._validate(network, report)
                return found
