"""UPSNet's semantic head as a component (Xiong et al. 2019, section 3.2): its layers, labels and both losses."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from autopanoptic.panoptic.data.categories import VOID
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.heads.deformable_segmentation import (
    DeformableSegmentation,
    all_classes,
    region_classes,
    region_loss,
)
from autopanoptic.panoptic.model.heads.segmentation import segmentation_loss, stuff_labels
from autopanoptic.panoptic.model.semantic.head import SegmentationBranch
from autopanoptic.panoptic.model.shapes import FeatureShape
from autopanoptic.panoptic.model.shares import Counts
from autopanoptic.panoptic.model.sizes import segmentation_width
from autopanoptic.panoptic.model.truth import Truth


class UPSNetHead(DeformableSegmentation, SegmentationBranch):
    """Scores of all classes: channel s - 1 is stuff s, channel S + t - 1 is thing t.

    ``segmentation_layers`` deformable layers, the first as wide as the pyramid, the others as
    ``segmentation_channels``: 256, 128 and 128 in the paper.
    """

    layers: nn.Sequential
    output_shape: dict[str, FeatureShape]

    def __init__(self, config: PanopticConfig, input_shape: Mapping[str, FeatureShape]) -> None:
        further = [segmentation_width(config)] * (config.segmentation_layers - 1)
        widths = (input_shape["p2"].channels, *further)
        super().__init__(input_shape, config.num_stuff + config.num_things, widths)
        self.num_stuff = config.num_stuff
        self.sampling_ratio, self.aligned = config.roi_sampling_ratio, config.roi_aligned
        self.learns_regions = config.roi_segmentation_loss_weight > 0

    def losses(self, logits: Tensor, truth: Truth) -> dict[str, Tensor]:
        """Cross-entropy of all pixels, and of the cells in the boxes of the true things (``roi_segmentation``).

        The second is left out where it weighs nothing.
        """
        classes = self._classes(truth)
        regions = {"roi_segmentation": self._of_regions(logits, classes, truth)} if self.learns_regions else {}
        return {"segmentation": segmentation_loss(logits, classes), **regions}

    def _of_regions(self, logits: Tensor, classes: Tensor, truth: Truth) -> Tensor:
        boxes, samples = _boxes(truth), self.sampling_ratio
        return region_loss(logits.float(), classes, boxes, sampling_ratio=samples, aligned=self.aligned)

    def counts(self, truth: Truth) -> Counts:
        """The pixels and the regions' cells that have a class."""
        classes = self._classes(truth)
        known = {"pixels": classes} | ({"cells": region_classes(classes, _boxes(truth))} if self.learns_regions else {})
        return {name: (one != VOID).sum(dtype=torch.float32) for name, one in known.items()}

    def semantic(self, labels: Tensor) -> Tensor:
        """Classes among all, to labels: 0 for any thing, 1..S for stuff."""
        return stuff_labels(labels, self.num_stuff)

    def _classes(self, truth: Truth) -> Tensor:
        """The class of each pixel among all, int64 (B, H, W), 255 where there is none."""
        return truth.once(("classes", self.num_stuff), lambda: self._find_classes(truth))

    def _find_classes(self, truth: Truth) -> Tensor:
        found = torch.full(truth.semantic.shape, VOID, dtype=torch.int64, device=truth.semantic.device)
        for classes, target, numbers, semantic, (height, width) in zip(
            found, truth.targets, truth.numbers, truth.semantic, truth.sizes, strict=True
        ):
            own, whole = semantic[:height, :width], numbers[:height, :width]
            classes[:height, :width] = all_classes(own, whole, target["labels"], self.num_stuff)
        return found


def _boxes(truth: Truth) -> list[Tensor]:
    return [target["boxes"] for target in truth.targets]
