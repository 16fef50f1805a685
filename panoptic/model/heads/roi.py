"""The foreground branch over regions of interest (He et al. 2017): torchvision's sampling and post-processing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeAlias

import torch
from torch import Tensor
from torchvision.models.detection import roi_heads
from torchvision.ops import clip_boxes_to_image

from autopanoptic.panoptic.data.loading.batch import Target
from autopanoptic.panoptic.data.transfers import places
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.heads.box import BoxPredictor, box_losses
from autopanoptic.panoptic.model.heads.mask import mask_loss, mask_predictor, mask_targets, of_class
from autopanoptic.panoptic.model.heads.matching import BoxCoder, Matcher
from autopanoptic.panoptic.model.heads.pooling import PyramidRoIAlign
from autopanoptic.panoptic.model.heads.regions import RegionLogits, Regions
from autopanoptic.panoptic.model.heads.sampling import SeededSampler
from autopanoptic.panoptic.model.heads.suppression import kept_in_groups
from autopanoptic.panoptic.model.parts.registry import component
from autopanoptic.panoptic.model.shapes import Features, FeatureShape, Sizes
from autopanoptic.panoptic.model.sizes import mask_width

SMALLEST = 1e-2
"""Pixels that a detection is wide and high at least."""


Reason: TypeAlias = Callable[[Tensor, Sequence[int]], Tensor]
"""Takes the box head's features of all images' regions (N, C) and how many each image has, and gives (N, C')."""


@dataclass(frozen=True)
class Detections:
    """The things found in one image, best first.

    Attributes:
        boxes: float32 (N, 4), x1, y1, x2, y2 in pixels of the resized image.
        scores: float32 (N,), 0 to 1.
        labels: int64 (N,), 1..T.
        masks: Probabilities inside each box, float32 (N, M, M).
        logits: Theirs, float32 (N, M, M); none where a graph has given the probabilities alone.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    masks: Tensor
    logits: Tensor | None = None

    @classmethod
    def none(cls, device: torch.device) -> Detections:
        """Nothing found."""
        boxes, scores, masks = (torch.zeros(shape, device=device) for shape in ((0, 4), (0,), (0, 1, 1)))
        return cls(boxes, scores, torch.zeros(0, dtype=torch.int64, device=device), masks)


class PanopticRoIHeads(roi_heads.RoIHeads):
    """The foreground branch behind the proposals: a box head and a searched mask head, ``mask.0`` onwards.

    Args:
        config: Widths, thresholds and sample counts.
        input_shape: Channels and strides of the pyramid; P2..P5 are pooled.
        predicted: Channels of a region's features for the box predictor, where they are not the box head's.
    """

    def __init__(
        self, config: PanopticConfig, input_shape: Mapping[str, FeatureShape], predicted: int | None = None
    ) -> None:
        pooled_shape = {level: shape for level, shape in input_shape.items() if level != "p6"}
        num_classes, masks = config.num_things + 1, mask_width(config)
        channels = next(iter(pooled_shape.values())).channels
        super().__init__(
            PyramidRoIAlign(config, pooled_shape, config.box_roi_size),
            component("box_head", config, channels),
            BoxPredictor(predicted or config.box_hidden, num_classes),
            fg_iou_thresh=config.box_foreground_iou,
            bg_iou_thresh=config.box_background_iou,
            batch_size_per_image=config.box_samples,
            positive_fraction=config.box_positive_fraction,
            bbox_reg_weights=config.box_regression_weights,
            score_thresh=config.box_score_threshold,
            nms_thresh=config.box_nms_iou,
            detections_per_img=config.detections_per_image,
            mask_roi_pool=PyramidRoIAlign(config, pooled_shape, config.mask_roi_size),
            mask_head=component("mask_head", config, channels, masks),
            mask_predictor=mask_predictor(masks, num_classes, config.mask_init),
        )
        self.fg_bg_sampler = SeededSampler(config.box_samples, config.box_positive_fraction)
        self.box_coder = BoxCoder(config.box_regression_weights)
        self.proposal_matcher = Matcher(config.box_foreground_iou, config.box_background_iou)
        self.mask_aligned = config.mask_aligned

    def forward(
        self,
        features: Features,
        proposals: list[Tensor],
        image_shapes: Sizes,
        least_score: float = 0.0,
        reason: Reason | None = None,
    ) -> list[Detections]:
        """Detect things in the proposals of each image.

        Args:
            features: The modulated pyramid.
            proposals: Boxes (N, 4) of each image.
            image_shapes: Height and width of each image without padding.
            least_score: Detections of a lower score are left out.
            reason: Changes the box head's features.
        """
        pooled = self.box_roi_pool(features, proposals, image_shapes)
        logits, deltas = self._predict_boxes(pooled, [len(found) for found in proposals], reason)
        found = self.postprocess_detections(logits, deltas, proposals, image_shapes, least_score)
        boxes, _, labels = found
        mask_logits = self._mask_logits(features, boxes, image_shapes)
        masks = roi_heads.maskrcnn_inference(mask_logits, labels)
        own = _by_image(of_class(mask_logits, torch.cat(labels)), labels)
        return [
            Detections(box, score, label, mask[:, 0], one)
            for box, score, label, mask, one in zip(*found, masks, own, strict=True)
        ]

    def postprocess_detections(
        self,
        class_logits: Tensor,
        box_regression: Tensor,
        proposals: list[Tensor],
        image_shapes: Sizes,
        least_score: float = 0.0,
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Boxes, scores and labels of the detections of each image.

        As torchvision's, but the host waits for the device once, and once more an image.
        """
        counts = [len(found) for found in proposals]
        scores = class_logits.softmax(-1)[:, 1:]
        boxes = self.box_coder.decode(box_regression, proposals)[:, 1:]
        # A box that is left out by its score hides none of a higher score.
        confident = (scores > self.score_thresh) & (scores.double() >= least_score)
        masks = torch.split(confident, counts)
        chosen: list[int] = torch.stack([mask.sum() for mask in masks]).tolist()
        each = zip(torch.split(boxes, counts), torch.split(scores, counts), masks, image_shapes, chosen, strict=True)
        found = [self._detected(*one) for one in each]
        return [b for b, _, _ in found], [s for _, s, _ in found], [label for _, _, label in found]

    def _detected(
        self, boxes: Tensor, scores: Tensor, confident: Tensor, shape: tuple[int, int], count: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The best of (N, T, 4) boxes with (N, T) scores, of which so many are confident."""
        things = scores.shape[1]
        chosen = places(confident.flatten(), count)
        boxes = clip_boxes_to_image(boxes.reshape(-1, 4)[chosen], shape)
        scores, labels = scores.flatten()[chosen], chosen % things + 1
        valid = (boxes[:, 2:] - boxes[:, :2] >= SMALLEST).all(dim=1)
        kept = kept_in_groups(boxes, scores, labels, valid, self.nms_thresh)[: self.detections_per_img]
        return boxes[kept], scores[kept], labels[kept]

    def sample(self, proposals: list[Tensor], targets: Sequence[Target]) -> Regions:
        """Draw the RoIs of a training from proposals (N, 4) of each image and the boxes of its things."""
        truth = [target["boxes"].to(found.dtype) for target, found in zip(targets, proposals, strict=True)]
        boxes = self.add_gt_proposals(proposals, truth)
        things, labels = self.assign_targets_to_proposals(boxes, truth, [target["labels"] for target in targets])
        chosen = self.fg_bg_sampler(labels)
        sampled = [torch.cat(pair).sort().values for pair in chosen]
        boxes, things, labels = (
            [part[own] for part, own in zip(parts, sampled, strict=True)] for parts in (boxes, things, labels)
        )
        matched = [
            # Without any thing the encoded boxes are not used.
            (own if len(own) else own.new_zeros((1, 4)))[thing]
            for own, thing in zip(truth, things, strict=True)
        ]
        positive = [torch.searchsorted(own, found) for own, (found, _) in zip(sampled, chosen, strict=True)]
        return Regions(boxes, things, labels, self.box_coder.encode(matched, boxes), positive)

    def losses(
        self,
        features: Features,
        regions: Regions,
        image_shapes: Sizes,
        targets: Sequence[Target],
        reason: Reason | None = None,
    ) -> tuple[dict[str, Tensor], RegionLogits]:
        """Classification, box and mask losses of sampled RoIs; finite also where an image has no thing.

        Box and classification losses are averaged over all sampled RoIs, the mask loss over the pixels of the
        positive ones.

        Returns:
            classification, box and mask; and the logits that they are of.
        """
        pooled = self.box_roi_pool(features, regions.boxes, image_shapes)
        classes, offsets = self._predict_boxes(pooled, [len(one) for one in regions.boxes], reason)
        labels, deltas = torch.cat(regions.labels), torch.cat(regions.deltas)
        classification, box = box_losses(classes, offsets, labels, deltas, _over_the_batch(regions))
        boxes = [image[chosen] for image, chosen in zip(regions.boxes, regions.positive, strict=True)]
        logits = self._mask_logits(features, boxes, image_shapes)
        things = [image[chosen] for image, chosen in zip(regions.things, regions.positive, strict=True)]
        each = zip(targets, boxes, things, strict=True)
        wanted = [
            mask_targets(target["masks"], thing, box, logits.shape[-1], aligned=self.mask_aligned)
            for target, box, thing in each
        ]
        chosen = torch.cat([target["labels"][thing] for target, thing in zip(targets, things, strict=True)])
        losses = {"classification": classification, "box": box, "mask": mask_loss(logits, chosen, torch.cat(wanted))}
        return losses, RegionLogits(classes, of_class(logits, chosen))

    def masks_in(
        self, features: Features, boxes: list[Tensor], labels: list[Tensor], image_shapes: Sizes
    ) -> Sequence[Tensor]:
        """Mask logits (N, M, M) of the classes (N,) of each image's boxes (N, 4)."""
        of_classes = of_class(self._mask_logits(features, boxes, image_shapes), torch.cat(labels))
        return _by_image(of_classes, labels)

    def dense(
        self, features: Features, num_boxes: int, num_masks: int, reason: Reason | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Class logits, box deltas and mask logits of a fixed number of RoIs per image."""
        pooled = self.box_roi_pool.pool_fixed(features, num_boxes)
        logits, deltas = self._predict_boxes(pooled, [num_boxes] * (len(pooled) // num_boxes), reason)
        masks = self._predict_masks(self.mask_roi_pool.pool_fixed(features, num_masks))
        return logits, deltas, masks

    def _predict_boxes(self, pooled: Tensor, counts: Sequence[int], reason: Reason | None) -> tuple[Tensor, Tensor]:
        """Class logits and box deltas of pooled regions, of which each image has so many."""
        x = self.box_head(pooled)
        found: tuple[Tensor, Tensor] = self.box_predictor(x if reason is None else reason(x, counts))
        return found

    def _mask_logits(self, features: Features, boxes: list[Tensor], image_shapes: Sizes) -> Tensor:
        return self._predict_masks(self.mask_roi_pool(features, boxes, image_shapes)).float()

    def _predict_masks(self, pooled: Tensor) -> Tensor:
        masks: Tensor = self.mask_predictor(self.mask_head(pooled))
        return masks


def _by_image(masks: Tensor, labels: Sequence[Tensor]) -> Sequence[Tensor]:
    """Masks of all images, as those of each."""
    return torch.split_with_sizes(masks, [len(one) for one in labels])


def _over_the_batch(regions: Regions) -> Tensor:
    """The places of the positive RoIs among those of all images."""
    firsts = [0, *accumulate(map(len, regions.boxes))]
    return torch.cat([first + found for first, found in zip(firsts, regions.positive, strict=False)])
