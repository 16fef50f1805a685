"""The region proposal network (Ren et al. 2015) over P2..P6: torchvision's, with fixed strides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead

from autopanoptic.nas import ElasticConv2d, Size
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.heads.sampling import SeededSampler
from autopanoptic.panoptic.model.operators.kernels import bias_of
from autopanoptic.panoptic.model.padding import true_cells, true_sizes
from autopanoptic.panoptic.model.shapes import FeatureShape

NEVER = -1e4
"""Logit of anchors in the padding: its sigmoid is 0, and so is its derivative."""


class FixedStrideAnchors(AnchorGenerator):
    """Anchors at the pyramid's true strides.

    torchvision divides the padded image's size by the map's, which misplaces P6 unless images are padded to
    multiples of 64.

    Args:
        sizes: Anchor side in pixels of each level.
        ratios: Height over width, the same for all levels.
        strides: Stride in pixels of each level.
    """

    def __init__(self, sizes: Sequence[int], ratios: Sequence[float], strides: Sequence[int]) -> None:
        super().__init__(tuple((size,) for size in sizes), (tuple(ratios),) * len(sizes))
        self.strides = [[stride, stride] for stride in strides]

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        """The same float32 anchors (A, 4), as x1, y1, x2, y2 in pixels, for every image."""
        self.set_cell_anchors(torch.float32, feature_maps[0].device)
        anchors = torch.cat(self.grid_anchors([x.shape[-2:] for x in feature_maps], self.strides))
        return [anchors] * len(image_list.image_sizes)


class FullPrecisionRPNHead(RPNHead):
    """torchvision's head, of fixed or elastic channels, whose outputs are float32 under autocast.

    Boxes need more than 8 bits.

    Args:
        channels: Of every level.
        num_anchors: At each cell.
    """

    def __init__(self, channels: Size, num_anchors: int) -> None:
        nn.Module.__init__(self)
        # In the order in which torchvision draws them, and with its names.
        convolution = ElasticConv2d(channels, channels, 3, padding=1)
        self.conv = nn.Sequential(nn.Sequential(convolution, nn.ReLU(inplace=True)))
        self.cls_logits = ElasticConv2d(channels, num_anchors, 1)
        self.bbox_pred = ElasticConv2d(channels, num_anchors * 4, 1)
        for layer in (convolution, self.cls_logits, self.bbox_pred):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(bias_of(layer))

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Logits (B, A, H, W) and box deltas (B, 4 A, H, W) of each level."""
        logits, deltas = super().forward(x)
        return [_without_padding(t.float()) for t in logits], [t.float() for t in deltas]


def _without_padding(logits: Tensor) -> Tensor:
    found = true_cells(logits)
    return logits if found is None else logits.masked_fill(~found.mask[:, None], NEVER)


class PaddingBlindRPN(RegionProposalNetwork):
    """torchvision's proposal network in which anchors in the padding are neither proposed nor trained."""

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[dict[str, Tensor]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Label the anchors (A,) of each image 1, 0, or -1 to be ignored; and the box matched with each, (A, 4)."""
        labels, boxes = super().assign_targets_to_anchors(anchors, targets)
        sizes = true_sizes()
        if sizes is not None:
            for found, of_image, (height, width) in zip(labels, anchors, sizes, strict=True):
                # An anchor's centre is its cell's first pixel.
                x, y = (of_image[:, :2] + of_image[:, 2:]).unbind(1)
                found[(x >= 2 * width) | (y >= 2 * height)] = -1
        return labels, boxes


def build_rpn(
    config: PanopticConfig, input_shape: Mapping[str, FeatureShape], head: nn.Module | None = None
) -> RegionProposalNetwork:
    """The proposal network for a pyramid; its ``fg_bg_sampler`` is a `SeededSampler`.

    Args:
        config: Anchors and thresholds.
        input_shape: Channels and strides of the levels.
        head: Gives logits and deltas as `FullPrecisionRPNHead`, of which there is a new one by default.
    """
    shapes = list(input_shape.values())
    rpn = PaddingBlindRPN(
        FixedStrideAnchors(config.anchor_sizes, config.anchor_ratios, [shape.stride for shape in shapes]),
        head or FullPrecisionRPNHead(shapes[0].channels, len(config.anchor_ratios)),
        fg_iou_thresh=config.rpn_foreground_iou,
        bg_iou_thresh=config.rpn_background_iou,
        batch_size_per_image=config.rpn_samples,
        positive_fraction=config.rpn_positive_fraction,
        pre_nms_top_n={"training": config.rpn_pre_nms_train, "testing": config.rpn_pre_nms_test},
        post_nms_top_n={"training": config.rpn_post_nms_train, "testing": config.rpn_post_nms_test},
        nms_thresh=config.rpn_nms_iou,
        score_thresh=torch.finfo(torch.float32).tiny,
    )
    rpn.box_coder = BoxCoder(config.rpn_regression_weights)
    rpn.fg_bg_sampler = SeededSampler(config.rpn_samples, config.rpn_positive_fraction)
    return rpn
