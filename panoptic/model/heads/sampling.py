"""Random choice of the anchors and RoIs that enter a loss, drawn from an explicit generator."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler


class SeededSampler(BalancedPositiveNegativeSampler):
    """torchvision's balanced sampler with a generator in place of the process-wide random state.

    Attributes:
        generator: Where the next draws come from, on any device; None stands for torch's default generator.
    """

    def __init__(self, samples: int, positive_fraction: float) -> None:
        super().__init__(samples, positive_fraction)
        self.generator: torch.Generator | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the generator, whose state cannot be sent to a spawned process; each loss brings its own."""
        return {**self.__dict__, "generator": None}

    def __call__(self, matched: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Choose positives and negatives of each image.

        Args:
            matched: For each image (N,): 1 or more for a positive, 0 for a negative, -1 to ignore.

        Returns:
            Two lists of uint8 masks (N,): the chosen positives and the chosen negatives.
        """
        pairs = [self._choose(labels) for labels in matched]
        return [positive for positive, _ in pairs], [negative for _, negative in pairs]

    def _choose(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        positive, negative = torch.where(labels >= 1)[0], torch.where(labels == 0)[0]
        most = int(self.batch_size_per_image * self.positive_fraction)
        positive = self._draw(positive, most)
        negative = self._draw(negative, self.batch_size_per_image - positive.numel())
        chosen = torch.zeros((2, labels.numel()), dtype=torch.uint8, device=labels.device)
        chosen[0, positive] = 1
        chosen[1, negative] = 1
        return chosen[0], chosen[1]

    def _draw(self, indices: Tensor, most: int) -> Tensor:
        device = torch.device("cpu") if self.generator is None else self.generator.device
        order = torch.randperm(indices.numel(), generator=self.generator, device=device)
        return indices[order[:most].to(indices.device)]
