"""The region proposal network (Ren et al. 2015) over P2..P6: torchvision's, with fixed strides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import clip_boxes_to_image

from autopanoptic.nas import ElasticConv2d, Size
from autopanoptic.panoptic.data.transfers import send
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.heads.matching import BoxCoder, Matcher
from autopanoptic.panoptic.model.heads.sampling import SeededSampler
from autopanoptic.panoptic.model.heads.suppression import kept_in_groups
from autopanoptic.panoptic.model.operators.kernels import bias_of
from autopanoptic.panoptic.model.padding import true_cells, true_sizes
from autopanoptic.panoptic.model.shapes import FeatureShape, Sizes

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
        self.cell_anchors: list[Tensor]

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        """The same float32 anchors (A, 4), as x1, y1, x2, y2 in pixels, for every image."""
        own, device = self.cell_anchors, feature_maps[0].device
        # They are no buffers, which would follow the network to another device, so that its own stay where they are.
        self.cell_anchors = [send(anchors.float(), device) for anchors in own]
        anchors = torch.cat(self.grid_anchors([x.shape[-2:] for x in feature_maps], self.strides))
        self.cell_anchors = own
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
    """torchvision's proposal network in which anchors in the padding are neither proposed nor trained.

    The host waits for the device once an image, and in training once a batch more.
    """

    def filter_proposals(
        self, proposals: Tensor, objectness: Tensor, image_shapes: Sizes, num_anchors_per_level: list[int]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The best proposals of each image, and their scores.

        Args:
            proposals: (B, A, 4).
            objectness: Logits, (B A, 1).
            image_shapes: Height and width of each image without padding.
            num_anchors_per_level: They add up to A.
        """
        objectness = objectness.detach().reshape(len(proposals), -1)
        chosen, levels = self._best_of_levels(objectness, num_anchors_per_level)
        scores = objectness.gather(1, chosen).sigmoid()
        proposals = proposals.gather(1, chosen[:, :, None].expand(-1, -1, 4))
        each = zip(proposals, scores, image_shapes, strict=True)
        found = [self._suppressed(clip_boxes_to_image(box, shape), score, levels) for box, score, shape in each]
        return [boxes for boxes, _ in found], [score for _, score in found]

    def _best_of_levels(self, objectness: Tensor, counts: list[int]) -> tuple[Tensor, Tensor]:
        """The places of the best anchors of each level, (B, K), and their levels (K,)."""
        found: Tensor = self._get_top_n_idx(objectness, counts)
        kept = [min(self.pre_nms_top_n(), count) for count in counts]
        return found, torch.cat([torch.full((k,), level, device=found.device) for level, k in enumerate(kept)])

    def _suppressed(self, boxes: Tensor, scores: Tensor, levels: Tensor) -> tuple[Tensor, Tensor]:
        extent = boxes[:, 2:] - boxes[:, :2]
        valid = (extent >= self.min_size).all(dim=1) & (scores >= self.score_thresh)
        kept = kept_in_groups(boxes, scores, levels, valid, self.nms_thresh)[: self.post_nms_top_n()]
        return boxes[kept], scores[kept]

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

    def compute_loss(
        self, objectness: Tensor, pred_bbox_deltas: Tensor, labels: list[Tensor], regression_targets: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Binary cross-entropy of the sampled anchors, and smooth L1 (beta 1/9) of the positive ones by their number.

        Args:
            objectness: Logits, (B A, 1).
            pred_bbox_deltas: (B A, 4).
            labels: As of `assign_targets_to_anchors`.
            regression_targets: Encoded boxes of each image, (A, 4).
        """
        chosen = self.fg_bg_sampler(labels)
        firsts = [index * len(labels[0]) for index in range(len(labels))]
        positive, negative = (
            torch.cat([first + found for first, found in zip(firsts, kind, strict=True)])
            for kind in zip(*chosen, strict=True)
        )
        sampled = torch.cat((positive, negative))
        wanted = torch.cat(regression_targets)[positive]
        box = functional.smooth_l1_loss(pred_bbox_deltas[positive], wanted, beta=1 / 9, reduction="sum")
        logits, truth = objectness.flatten()[sampled], torch.cat(labels)[sampled]
        return functional.binary_cross_entropy_with_logits(logits, truth), box / sampled.numel()


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
    rpn.proposal_matcher = Matcher(config.rpn_foreground_iou, config.rpn_background_iou, allow_low_quality_matches=True)
    rpn.fg_bg_sampler = SeededSampler(config.rpn_samples, config.rpn_positive_fraction)
    return rpn
