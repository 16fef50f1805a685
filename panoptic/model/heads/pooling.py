"""RoIAlign over the pyramid."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torchvision.ops._utils import convert_boxes_to_roi_format
from torchvision.ops.poolers import LevelMapper

from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.heads.roi_align import pyramid_roi_align, roi_align
from autopanoptic.panoptic.model.shapes import Features, FeatureShape, Sizes


class PyramidRoIAlign(nn.Module):
    """RoIAlign from P2..P5, each box from the level of its size (Lin et al. 2017, equation 1).

    torchvision's `MultiScaleRoIAlign` guesses the levels' scales from the first batch and cannot align half pixels.

    Args:
        config: Samples per bin, canonical size and alignment.
        input_shape: Channels and strides of the levels.
        side: Of the pooled features.
    """

    def __init__(self, config: PanopticConfig, input_shape: Mapping[str, FeatureShape], side: int) -> None:
        super().__init__()
        self.scales = {level: 1 / shape.stride for level, shape in input_shape.items()}
        self.side, self.sampling_ratio, self.aligned = side, config.roi_sampling_ratio, config.roi_aligned
        strides = [shape.stride for shape in input_shape.values()]
        levels = [int(math.log2(stride)) for stride in (strides[0], strides[-1])]
        self.map_levels = LevelMapper(*levels, canonical_scale=config.roi_canonical_size)

    def forward(self, x: Features, boxes: list[Tensor], image_shapes: Sizes) -> Tensor:
        """Pool float32 features of all boxes: (N over the batch, C, side, side)."""
        rois, levels = convert_boxes_to_roi_format(boxes), self.map_levels(boxes)
        if rois.device.type != "cpu":
            return self._level_by_level(x, rois, levels)
        maps, scales = [x[level] for level in self.scales], list(self.scales.values())
        return pyramid_roi_align(maps, rois, levels, self.side, scales, self.sampling_ratio, self.aligned)

    def _level_by_level(self, x: Features, rois: Tensor, levels: Tensor) -> Tensor:
        order = levels.argsort(stable=True)
        # The one wait for the device.
        counts = (levels[:, None] == torch.arange(len(self.scales), device=levels.device)).sum(0).tolist()
        each = zip(self.scales, torch.split(rois[order], counts), strict=True)
        pooled = [self._pool(x, level, part) for level, part in each if len(part)]
        if len(pooled) == 1:
            return pooled[0]
        if not pooled:
            return self._pool(x, next(iter(self.scales)), rois)
        return torch.cat(pooled)[order.argsort()]

    def pool_fixed(self, x: Features, count: int) -> Tensor:
        """Pool ``count`` times the whole finest map of each image, so that no shape depends on data."""
        level, scale = next(iter(self.scales.items()))
        batch, _, height, width = x[level].shape
        rois = torch.zeros((batch * count, 5), device=x[level].device)
        rois[:, 0] = torch.arange(batch, device=rois.device).repeat_interleave(count)
        rois[:, 3], rois[:, 4] = width / scale, height / scale
        return self._pool(x, level, rois)

    def _pool(self, x: Features, level: str, rois: Tensor) -> Tensor:
        return roi_align(x[level], rois, self.side, self.scales[level], self.sampling_ratio, self.aligned)
