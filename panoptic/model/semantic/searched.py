"""The searched background branch: a shared head over P2..P5 and a semantic score (Kirillov et al. 2019)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

from autopanoptic.nas import Concat, ElasticConv2d
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.operators.layer import head_layer
from autopanoptic.panoptic.model.padding import extend
from autopanoptic.panoptic.model.semantic.head import SegmentationBranch
from autopanoptic.panoptic.model.shapes import Features, FeatureShape
from autopanoptic.panoptic.model.sizes import active, of_depth, per_depth, segmentation_depth, segmentation_width, stack


class SegmentationHead(SegmentationBranch):
    """Searched layers ``segmentation.0`` onwards, shared over the levels, and the score over all of them.

    Attributes:
        output_shape: Channels and strides of the branch's features at P2..P5.
    """

    def __init__(self, config: PanopticConfig, input_shape: Mapping[str, FeatureShape]) -> None:
        super().__init__()
        in_shape = {level: shape for level, shape in input_shape.items() if level != "p6"}
        channels, entering = segmentation_width(config), in_shape["p2"].channels

        def layer(index: int) -> nn.Module:
            return head_layer(channels if index else entering, channels, config, f"segmentation.{index}")

        depth, label = segmentation_depth(config), "segmentation.depth"
        self.layers = stack(layer, depth, label, tied=True)
        self.output_shape = {level: FeatureShape(channels, s.stride) for level, s in in_shape.items()}
        self.align_corners = config.segmentation_align_corners
        joined = Concat(*[channels] * len(in_shape))
        self.score = per_depth(lambda: ElasticConv2d(joined, config.num_stuff + 1, 1), depth, label)

    def forward(self, pyramid: Features) -> Features:
        """The branch's features at P2..P5."""
        return {level: self.layers(pyramid[level]) for level in self.output_shape}

    def classify(self, features: Features) -> Tensor:
        """Logits (B, 1 + S, H / 4, W / 4) from the (modulated) features; channel 0 is "any thing".

        The published network upsamples every level to P2's size, concatenates and scores. Upsampling and a 1x1
        convolution commute, so each level is scored at its own size, with its own part of the kernel.
        """
        score = of_depth(self.score)
        parts = active(score, "weight").chunk(len(features), dim=1)
        finest, *coarser = (functional.conv2d(x, part) for x, part in zip(features.values(), parts, strict=True))
        logits = finest + active(score, "bias")[:, None, None]
        for scores in coarser:
            logits = logits + functional.interpolate(
                extend(scores), size=finest.shape[-2:], mode="bilinear", align_corners=self.align_corners
            )
        return extend(logits)
