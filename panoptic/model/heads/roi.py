"""Box and mask heads over regions of interest (He et al. 2017): torchvision's sampling and post-processing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection import roi_heads
from torchvision.ops import roi_align
from torchvision.ops._utils import convert_boxes_to_roi_format
from torchvision.ops.poolers import LevelMapper

from autopanoptic.panoptic.data.loading.batches import Target
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.heads.sampling import SeededSampler
from autopanoptic.panoptic.model.operators.known import head_layer
from autopanoptic.panoptic.model.shapes import Features, FeatureShape, Sizes


@dataclass(frozen=True)
class Detections:
    """The things found in one image, best first.

    Attributes:
        boxes: float32 (N, 4), x1, y1, x2, y2 in pixels of the resized image.
        scores: float32 (N,), 0 to 1.
        labels: int64 (N,), 1..T.
        masks: Probabilities inside each box, float32 (N, M, M).
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    masks: Tensor

    @classmethod
    def none(cls, device: torch.device) -> Detections:
        """Nothing found."""
        boxes, scores, masks = (torch.zeros(shape, device=device) for shape in ((0, 4), (0,), (0, 1, 1)))
        return cls(boxes, scores, torch.zeros(0, dtype=torch.int64, device=device), masks)


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
        rois = convert_boxes_to_roi_format(boxes)
        levels = self.map_levels(boxes)
        channels = x[next(iter(self.scales))].shape[1]
        pooled: Tensor = rois.new_zeros((len(rois), channels, self.side, self.side))
        for index, level in enumerate(self.scales):
            chosen = torch.where(levels == index)[0]
            pooled[chosen] = self._pool(x, level, rois[chosen])
        return pooled

    def pool_fixed(self, x: Features, count: int) -> Tensor:
        """Pool ``count`` times the whole finest map of each image, so that no shape depends on data."""
        level, scale = next(iter(self.scales.items()))
        batch, _, height, width = x[level].shape
        rois = torch.zeros((batch * count, 5), device=x[level].device)
        rois[:, 0] = torch.arange(batch, device=rois.device).repeat_interleave(count)
        rois[:, 3], rois[:, 4] = width / scale, height / scale
        return self._pool(x, level, rois)

    def _pool(self, x: Features, level: str, rois: Tensor) -> Tensor:
        pooled: Tensor = roi_align(
            x[level].float(), rois, self.side, self.scales[level], self.sampling_ratio, self.aligned
        )
        return pooled


class BoxPredictor(nn.Module):
    """Class logits (N, 1 + T) and per-class box deltas (N, 4 + 4 T) of RoI features (N, C)."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.classes = nn.Linear(channels, num_classes)
        self.boxes = nn.Linear(channels, 4 * num_classes)
        for layer, deviation in ((self.classes, 0.01), (self.boxes, 0.001)):
            nn.init.normal_(layer.weight, std=deviation)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and deltas, float32 under autocast too."""
        return self.classes(x).float(), self.boxes(x).float()


class PanopticRoIHeads(roi_heads.RoIHeads):
    """The foreground branch behind the proposals: a box head and a searched mask head, ``mask.0`` onwards.

    Args:
        config: Widths, thresholds and sample counts.
        input_shape: Channels and strides of the pyramid; P2..P5 are pooled.
    """

    def __init__(self, config: PanopticConfig, input_shape: Mapping[str, FeatureShape]) -> None:
        pooled_shape = {level: shape for level, shape in input_shape.items() if level != "p6"}
        channels, num_classes = config.pyramid_channels, config.num_things + 1
        super().__init__(
            PyramidRoIAlign(config, pooled_shape, config.box_roi_size),
            _box_head(config),
            BoxPredictor(config.box_hidden, num_classes),
            fg_iou_thresh=config.box_foreground_iou,
            bg_iou_thresh=config.box_background_iou,
            batch_size_per_image=config.box_samples,
            positive_fraction=config.box_positive_fraction,
            bbox_reg_weights=(10.0, 10.0, 5.0, 5.0),
            score_thresh=config.box_score_threshold,
            nms_thresh=config.box_nms_iou,
            detections_per_img=config.detections_per_image,
            mask_roi_pool=PyramidRoIAlign(config, pooled_shape, config.mask_roi_size),
            mask_head=nn.Sequential(
                *(head_layer(channels, channels, config, f"mask.{index}") for index in range(config.mask_layers))
            ),
            mask_predictor=_mask_predictor(channels, num_classes),
        )
        self.fg_bg_sampler = SeededSampler(config.box_samples, config.box_positive_fraction)
        self.mask_aligned = config.mask_aligned

    def forward(self, features: Features, proposals: list[Tensor], image_shapes: Sizes) -> list[Detections]:
        """Detect things in the proposals of each image.

        Args:
            features: The modulated pyramid.
            proposals: Boxes (N, 4) of each image.
            image_shapes: Height and width of each image without padding.
        """
        logits, deltas = self.box_predictor(self.box_head(self.box_roi_pool(features, proposals, image_shapes)))
        found = self.postprocess_detections(logits, deltas, proposals, image_shapes)
        boxes, _, labels = found
        masks = roi_heads.maskrcnn_inference(self._mask_logits(features, boxes, image_shapes), labels)
        return [
            Detections(box, score, label, mask[:, 0]) for box, score, label, mask in zip(*found, masks, strict=True)
        ]

    def losses(
        self, features: Features, proposals: list[Tensor], image_shapes: Sizes, targets: Sequence[Target]
    ) -> dict[str, Tensor]:
        """Classification, box and mask losses of sampled RoIs; finite also where an image has no thing.

        Box and classification losses are averaged over all sampled RoIs, the mask loss over the pixels of the
        positive ones.
        """
        sampled, matched, labels, deltas = self.select_training_samples(proposals, targets)
        pooled = self.box_roi_pool(features, sampled, image_shapes)
        logits, offsets = self.box_predictor(self.box_head(pooled))
        classification, box = box_losses(logits, offsets, torch.cat(labels), torch.cat(deltas))
        positive = [label > 0 for label in labels]
        boxes = [image[chosen] for image, chosen in zip(sampled, positive, strict=True)]
        logits = self._mask_logits(features, boxes, image_shapes)
        things = [image[chosen] for image, chosen in zip(matched, positive, strict=True)]
        each = zip(targets, boxes, things, strict=True)
        wanted = [
            mask_targets(target["masks"][thing], box, logits.shape[-1], aligned=self.mask_aligned)
            for target, box, thing in each
        ]
        chosen = torch.cat([target["labels"][thing] for target, thing in zip(targets, things, strict=True)])
        return {"classification": classification, "box": box, "mask": mask_loss(logits, chosen, torch.cat(wanted))}

    def dense(self, features: Features, num_boxes: int, num_masks: int) -> tuple[Tensor, Tensor, Tensor]:
        """Class logits, box deltas and mask logits of a fixed number of RoIs per image."""
        pooled = self.box_roi_pool.pool_fixed(features, num_boxes)
        logits, deltas = self.box_predictor(self.box_head(pooled))
        masks = self.mask_predictor(self.mask_head(self.mask_roi_pool.pool_fixed(features, num_masks)))
        return logits, deltas, masks

    def _mask_logits(self, features: Features, boxes: list[Tensor], image_shapes: Sizes) -> Tensor:
        pooled = self.mask_roi_pool(features, boxes, image_shapes)
        logits: Tensor = self.mask_predictor(self.mask_head(pooled)).float()
        return logits


def box_losses(logits: Tensor, deltas: Tensor, labels: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy and smooth L1 (beta 1), both summed and divided by the number of RoIs.

    Args:
        logits: (N, 1 + T).
        deltas: (N, 4 + 4 T), four for each class.
        labels: (N,), 0 for background.
        wanted: Encoded boxes to predict, (N, 4); those of background RoIs are not used.
    """
    count = max(labels.numel(), 1)
    classification = functional.cross_entropy(logits, labels, reduction="sum") / count
    positive = torch.where(labels > 0)[0]
    of_class = deltas.view(-1, logits.shape[1], 4)[positive, labels[positive]]
    box = functional.smooth_l1_loss(of_class, wanted[positive], beta=1.0, reduction="sum") / count
    return classification, box


def mask_targets(masks: Tensor, boxes: Tensor, side: int, *, aligned: bool) -> Tensor:
    """Cut each mask out of the image along its box, in the resolution that the mask head predicts.

    Args:
        masks: (N, H, W), one for each box.
        boxes: (N, 4), x1, y1, x2, y2 in pixels, the last two exclusive.
        side: Of the targets, in cells.
        aligned: Whether the centre of pixel i is at i + 0.5; else it is taken to be at i, as in the published code.

    Returns:
        The share of each cell that the mask covers, (N, side, side), 0 to 1.
    """
    each = torch.arange(len(boxes), device=boxes.device, dtype=boxes.dtype)
    rois = torch.cat((each[:, None], boxes), dim=1)
    cut: Tensor = roi_align(masks[:, None].to(boxes.dtype), rois, side, aligned=aligned)
    return cut[:, 0]


def mask_loss(logits: Tensor, labels: Tensor, wanted: Tensor) -> Tensor:
    """Mean binary cross-entropy over the pixels of the true classes' masks; zero without any RoI.

    Args:
        logits: (N, 1 + T, M, M).
        labels: (N,) in 1..T.
        wanted: (N, M, M), 0 to 1.
    """
    if not len(labels):
        return logits.sum() * 0
    of_class = logits[torch.arange(len(labels), device=labels.device), labels]
    return functional.binary_cross_entropy_with_logits(of_class, wanted)


def _box_head(config: PanopticConfig) -> nn.Sequential:
    widths = (config.pyramid_channels * config.box_roi_size**2, config.box_hidden, config.box_hidden)
    layers: list[nn.Module] = [nn.Flatten()]
    for entering, leaving in pairwise(widths):
        linear = nn.Linear(entering, leaving, bias=not config.box_norm)
        nn.init.kaiming_uniform_(linear.weight, a=1)
        norm = [nn.GroupNorm(config.norm_groups, leaving)] if config.box_norm else []
        layers += [linear, *norm, nn.ReLU()]
    return nn.Sequential(*layers)


def _mask_predictor(channels: int, num_classes: int) -> nn.Sequential:
    layers = nn.ConvTranspose2d(channels, channels, 2, stride=2), nn.Conv2d(channels, num_classes, 1)
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return nn.Sequential(layers[0], nn.ReLU(), layers[1])
