"""Panoptic logits as a component of a network: UPSNet's head (Xiong et al. 2019), and SOGNet's (Yang et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.heads.roi import Detections
from autopanoptic.panoptic.model.heads.sampling import Generators, apart
from autopanoptic.panoptic.model.panoptic_head.logits import panoptic_logits
from autopanoptic.panoptic.model.panoptic_head.pruning import (
    STRIDE,
    kept_instances,
    panoptic_loss,
    panoptic_target,
    quartered,
)
from autopanoptic.panoptic.model.panoptic_head.scores import PanopticScores
from autopanoptic.panoptic.model.shares import Counts
from autopanoptic.panoptic.model.truth import Truth


class PanopticLogits(nn.Module):
    """UPSNet's head, which has no parameters: scores of all classes and of masks, added at a quarter of the size."""

    unknown = True
    """Whether there is a channel for things that no instance explains, which dropped instances teach."""

    def __init__(self, config: PanopticConfig) -> None:
        super().__init__()
        self.num_stuff, self.aligned = config.num_stuff, config.mask_aligned

    def kept(self, truth: Truth, generator: Generators) -> list[Tensor]:
        """Draw the instances of each image that the loss sees, as places (K,)."""
        own = apart(generator)
        each = own if isinstance(own, Sequence) else [own] * len(truth.targets)
        return [
            kept_instances(len(target["labels"]), one).to(target["labels"].device)
            for target, one in zip(truth.targets, each, strict=True)
        ]

    def losses(
        self, scores: Tensor, masks: Sequence[Tensor], kept: Sequence[Tensor], truth: Truth
    ) -> dict[str, Tensor]:
        """The mean over images of the cross-entropy of each image's cells.

        Args:
            scores: Logits of all classes (B, S + T, H / 4, W / 4).
            masks: Logits of the true classes' masks of the kept instances of each image, in their true boxes,
                (K, M, M).
            kept: See `kept`.
            truth: Of the batch.
        """
        each = [self._loss(index, *one, truth) for index, one in enumerate(zip(scores, masks, kept, strict=True))]
        return {"panoptic": torch.stack(each).mean()}

    def counts(self, truth: Truth) -> Counts:
        """What the losses are means over."""
        return {"images": truth.semantic.new_full((), len(truth.targets), dtype=torch.float32)}

    def scores(
        self, scores: Tensor, found: Detections, size: tuple[int, int], original_size: tuple[int, int]
    ) -> PanopticScores:
        """What a map is made of.

        Args:
            scores: Logits of all classes of one image (S + T, H / 4, W / 4).
            found: In the resized image.
            size: The resized image's height and width without padding.
            original_size: Those of the wanted map.
        """
        assert found.logits is not None
        overlaps = self.overlaps(found.boxes, found.labels)
        places = size, original_size
        return PanopticScores(scores, found.boxes, found.logits, overlaps, *places, self.aligned, self.unknown)

    def overlaps(self, boxes: Tensor, labels: Tensor) -> Tensor | None:
        """How much instances, boxes (n, 4) of classes (n,), give way to each other (n, n); None for not at all."""
        return None

    def _loss(self, index: int, scores: Tensor, masks: Tensor, kept: Tensor, truth: Truth) -> Tensor:
        target = truth.targets[index]
        boxes, labels = target["boxes"][kept], target["labels"][kept]
        logits = panoptic_logits(
            scores,
            boxes / STRIDE,
            labels,
            masks,
            self.num_stuff,
            aligned=self.aligned,
            unknown=self.unknown,
            overlaps=self.overlaps(boxes, labels),
        )
        semantic = truth.semantic[index]
        numbers = truth.numbers[index]
        height, width = semantic.shape
        numbers = functional.pad(numbers, (0, width - numbers.shape[1], 0, height - numbers.shape[0]))
        wanted = panoptic_target(
            quartered(semantic), quartered(numbers), kept, len(target["labels"]), self.num_stuff, unknown=self.unknown
        )
        return panoptic_loss(logits, wanted)
