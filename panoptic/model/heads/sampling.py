"""Random choice of the anchors and RoIs that enter a loss, drawn from an explicit generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler

Generators: TypeAlias = torch.Generator | Sequence[torch.Generator] | None
"""One for a batch, whose images it serves one after the other, or one for each image; None for torch's default one."""


class SeededSampler(BalancedPositiveNegativeSampler):
    """torchvision's balanced sampler with a generator in place of the process-wide random state.

    Attributes:
        generator: Where the next draws come from, on any device.
        chosen: How many were chosen by the last draw, over all images.
    """

    def __init__(self, samples: int, positive_fraction: float) -> None:
        super().__init__(samples, positive_fraction)
        self.generator: Generators = None
        self.chosen = 0

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
        each = self.generator if isinstance(self.generator, Sequence) else [self.generator] * len(matched)
        self.chosen = 0
        pairs = [self._choose(labels, own) for labels, own in zip(matched, each, strict=True)]
        return [positive for positive, _ in pairs], [negative for _, negative in pairs]

    def _choose(self, labels: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        positive, negative = torch.where(labels >= 1)[0], torch.where(labels == 0)[0]
        most = int(self.batch_size_per_image * self.positive_fraction)
        positive = _draw(positive, most, generator)
        negative = _draw(negative, self.batch_size_per_image - positive.numel(), generator)
        self.chosen += positive.numel() + negative.numel()
        chosen = torch.zeros((2, labels.numel()), dtype=torch.uint8, device=labels.device)
        chosen[0, positive] = 1
        chosen[1, negative] = 1
        return chosen[0], chosen[1]


def _draw(indices: Tensor, most: int, generator: torch.Generator | None) -> Tensor:
    device = torch.device("cpu") if generator is None else generator.device
    order = torch.randperm(indices.numel(), generator=generator, device=device)
    return indices[order[:most].to(indices.device)]
