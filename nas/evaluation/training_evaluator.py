"""Stand-alone evaluation: each candidate is trained on its own."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from autopanoptic.nas.evaluation.evaluator import Metrics, Report, context_of, with_report
from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.supernet.state import seeded
from autopanoptic.nas.supernet.supernet import Supernet


class TrainingEvaluator:
    """Trains each architecture's stand-alone network by a user's function.

    Args:
        supernet: builds the networks. Its own weights are read only with ``inherit``; without, it may be made under
            ``torch.device("meta")`` and takes no memory.
        train: takes the network, or the network and ``report``, trains it and returns metrics.
        inherit: whether networks start from the supernet's weights; from scratch otherwise.
        seed: seeds the global generators of torch, numpy and Python for the initialisation and the training of an
            architecture, together with the architecture's id and, where a search repeats evaluations, the number of
            this one; afterwards they are as they were.
    """

    def __init__(
        self, supernet: Supernet, train: Callable[..., Metrics], *, inherit: bool = False, seed: int = 0
    ) -> None:
        self.supernet = supernet
        self.train = train
        self.inherit = inherit
        self.seed = seed
        self._train = with_report(train)

    def evaluate(self, architecture: Architecture, report: Report) -> Metrics:
        """Build, train and measure one network."""
        with seeded(self.seed + int(architecture.id, 16) + context_of(report).repeat):
            network: nn.Module = self.supernet.subnet(architecture, inherit=self.inherit)
            found: Metrics = self._train(network, report)
            return found
