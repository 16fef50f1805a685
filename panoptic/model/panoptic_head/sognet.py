"""SOGNet's head (Yang et al. 2020): UPSNet's without the unknown, with relations by which masks give way."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.heads.sampling import Generators
from autopanoptic.panoptic.model.panoptic_head.head import PanopticLogits
from autopanoptic.panoptic.model.panoptic_head.overlap import filled, overlap_truth, relation_loss
from autopanoptic.panoptic.model.panoptic_head.pruning import STRIDE, quartered
from autopanoptic.panoptic.model.panoptic_head.relation import Relation
from autopanoptic.panoptic.model.truth import Truth


class SOGNetHead(PanopticLogits):
    """Every true instance has a channel, and masks give way to each other before they are added.

    The truth of relations is that of masks with their gaps filled, because those of a panoptic map never overlap: see
    `filled`, which is ours.
    """

    unknown = False

    def __init__(self, config: PanopticConfig) -> None:
        super().__init__(config)
        self.relation = Relation(config.num_things)

    def kept(self, truth: Truth, generator: Generators) -> list[Tensor]:
        """All instances of each image, as places."""
        return [torch.arange(len(one["labels"]), device=one["labels"].device) for one in truth.targets]

    def losses(
        self, scores: Tensor, masks: Sequence[Tensor], kept: Sequence[Tensor], truth: Truth
    ) -> dict[str, Tensor]:
        """UPSNet's, and ``relation``, the mean over images of the squared error of O + O^T."""
        each = [
            relation_loss(self.overlaps(target["boxes"], target["labels"]), _relations(numbers, len(target["labels"])))
            for target, numbers in zip(truth.targets, truth.numbers, strict=True)
        ]
        return {**super().losses(scores, masks, kept, truth), "relation": torch.stack(each).mean()}

    def overlaps(self, boxes: Tensor, labels: Tensor) -> Tensor:
        """O of boxes (n, 4) of classes (n,), in any unit: (n, n)."""
        found: Tensor = self.relation(boxes, labels)
        return found


def _relations(numbers: Tensor, count: int) -> Tensor:
    """G of so many things, from the map (H, W) of their numbers at a quarter of its size: (n, n)."""
    height, width = numbers.shape
    cells = quartered(functional.pad(numbers, (0, -width % STRIDE, 0, -height % STRIDE)))
    places = torch.arange(1, count + 1, device=numbers.device)
    return overlap_truth(filled(cells == places[:, None, None]))
