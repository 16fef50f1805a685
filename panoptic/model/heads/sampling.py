"""Random choice of the anchors and RoIs that enter a loss, drawn from an explicit generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from autopanoptic.panoptic.data.transfers import places, send

Generators: TypeAlias = torch.Generator | Sequence[torch.Generator] | None
"""One for a batch, whose images it serves one after the other, or one for each image; None for torch's default one."""


class SeededSampler:
    """A balanced choice of positives and negatives (Ren et al. 2015, section 3.1.3), with a generator of its own.

    The host waits for the device once a batch, to learn how many there are to choose from.

    Args:
        samples: Chosen of an image.
        positive_fraction: The largest share of positives among them.

    Attributes:
        generator: Where the next draws come from, on any device.
        chosen: How many were chosen by the last draw, over all images.
    """

    def __init__(self, samples: int, positive_fraction: float) -> None:
        self.samples, self.positive_fraction = samples, positive_fraction
        self.generator: Generators = None
        self.chosen = 0

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the generator, whose state cannot be sent to a spawned process; each loss brings its own."""
        return {**self.__dict__, "generator": None}

    def __call__(self, matched: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Choose positives and negatives of each image.

        Args:
            matched: For each image (N,): 1 or more for a positive, 0 for a negative, -1 to ignore.

        Returns:
            For each image the places of the chosen positives and of the chosen negatives, int64, ascending.
        """
        each = self.generator if isinstance(self.generator, Sequence) else [self.generator] * len(matched)
        kinds = [(labels >= 1, labels == 0) for labels in matched]
        counts = torch.stack([mask.sum() for pair in kinds for mask in pair]).view(-1, 2).tolist()
        pairs = [self._choose(*pair, count, own) for pair, count, own in zip(kinds, counts, each, strict=True)]
        self.chosen = sum(len(places) for pair in pairs for places in pair)
        return pairs

    def _choose(
        self, positive: Tensor, negative: Tensor, counts: Sequence[int], generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        most = min(counts[0], int(self.samples * self.positive_fraction))
        chosen = _draw(positive, counts[0], most, generator)
        return chosen, _draw(negative, counts[1], self.samples - most, generator)


def _draw(mask: Tensor, count: int, most: int, generator: torch.Generator | None) -> Tensor:
    device = torch.device("cpu") if generator is None else generator.device
    order = torch.randperm(count, generator=generator, device=device)[:most]
    return places(mask, count)[send(order, mask.device)].sort().values


def apart(generator: Generators) -> Generators:
    """Other generators of the images, whose numbers do not depend on how many these have given; one of all as it is."""
    if not isinstance(generator, Sequence):
        return generator
    return [torch.Generator(one.device).manual_seed((one.initial_seed() + 1) % 2**63) for one in generator]
