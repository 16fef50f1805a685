"""The searchable panoptic network (Auto-Panoptic, NeurIPS 2020); with an architecture applied, the fixed one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.models.detection.image_list import ImageList

from autopanoptic.nas import ModelSpace
from autopanoptic.panoptic.data.loading.batches import Target
from autopanoptic.panoptic.model.backbone.backbone import Backbone
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.fusion.fusion import Fusion, modulate
from autopanoptic.panoptic.model.heads.roi import Detections, PanopticRoIHeads
from autopanoptic.panoptic.model.heads.rpn import build_rpn
from autopanoptic.panoptic.model.heads.segmentation import SegmentationHead, label_pixels, segmentation_loss
from autopanoptic.panoptic.model.neck.neck import Neck
from autopanoptic.panoptic.model.prediction import Prediction, paste_masks
from autopanoptic.panoptic.model.shapes import Features, Sizes


class DenseOutputs(NamedTuple):
    """Raw outputs for a fixed number of RoIs per image; see `PanopticNetwork.forward`."""

    objectness: list[Tensor]
    anchor_deltas: list[Tensor]
    class_logits: Tensor
    box_deltas: Tensor
    mask_logits: Tensor
    segmentation: Tensor


class PanopticNetwork(ModelSpace):
    """Backbone, pyramid, foreground and background branch, and the fusion between them.

    Choices are labelled ``backbone.<block>``, ``mask.<layer>``, ``segmentation.<layer>``, ``f2b.p2`` to ``f2b.p5``,
    ``b2f.p2`` to ``b2f.p6``, and ``neck`` if the config asks for it. Batch norm is found in the backbone alone.

    Args:
        config: Fixes every shape; parameters are drawn from torch's default generator.
    """

    def __init__(self, config: PanopticConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config)
        self.neck = Neck(config, self.backbone.output_shape)
        pyramid = self.neck.output_shape
        self.segmentation = SegmentationHead(config, pyramid)
        background = self.segmentation.output_shape
        above_p2 = {level: shape for level, shape in pyramid.items() if level != "p2"}
        reductions = config.fusion_reductions
        self.foreground_to_background = Fusion("f2b", above_p2, background, reductions)
        self.background_to_foreground = Fusion("b2f", background, pyramid, reductions)
        self.rpn = build_rpn(config, pyramid)
        self.roi_heads = PanopticRoIHeads(config, pyramid)

    def forward(self, images: Tensor) -> DenseOutputs:
        """Run every layer once, with as many RoIs as at test time but fixed ones.

        No shape depends on data, so this counts FLOPs on the meta device and measures latency (without the
        proposals' and detections' non-maximum suppression); `predict` is what recognises things.

        Args:
            images: (B, 3, H, W), H and W multiples of the config's ``image_divisor``.
        """
        batch, _, height, width = images.shape
        pyramid, segmentation = self._features(images, [(height, width)] * batch)
        objectness, anchor_deltas = self.rpn.head(list(pyramid.values()))
        config = self.config
        regions = self.roi_heads.dense(pyramid, config.rpn_post_nms_test, config.detections_per_image)
        return DenseOutputs(objectness, anchor_deltas, *regions, segmentation)

    def losses(
        self,
        images: Tensor,
        sizes: Sizes,
        targets: Sequence[Target],
        semantic: Tensor,
        *,
        generator: torch.Generator | None = None,
    ) -> dict[str, Tensor]:
        """Losses of a batch, each a scalar, unweighted but for the total.

        Args:
            images: Normalised and padded at the right and bottom, float (B, 3, H, W).
            sizes: Height and width of each image without padding.
            targets: The things of each image; there may be none.
            semantic: Labels 0..S, 255 for void and padding, integers (B, H, W).
            generator: Draws the anchors and RoIs that enter the losses; None for torch's default generator.

        Returns:
            objectness, rpn_box, classification, box, mask, segmentation, and total.

        Raises:
            RuntimeError: The network is in eval mode.
            ValueError: The batch's parts do not fit together.
        """
        if not self.training:
            raise RuntimeError("losses need the network in training mode: call network.train() first")
        self._check(images, sizes)
        if len(targets) != len(images) or semantic.shape != (len(images), *images.shape[-2:]):
            raise ValueError(
                f"images {tuple(images.shape)} need as many targets, not {len(targets)}, and a semantic map of "
                f"their batch, height and width, not {tuple(semantic.shape)}"
            )
        self.rpn.fg_bg_sampler.generator = generator
        self.roi_heads.fg_bg_sampler.generator = generator
        pyramid, logits = self._features(images, sizes)
        proposals, proposal = self.rpn(ImageList(images, list(sizes)), pyramid, targets)
        losses: dict[str, Tensor] = {
            "objectness": proposal["loss_objectness"],
            "rpn_box": proposal["loss_rpn_box_reg"],
            **self.roi_heads.losses(pyramid, proposals, sizes, targets),
        }
        segmentation = segmentation_loss(logits, semantic)
        total = sum(losses.values(), start=self.config.segmentation_loss_weight * segmentation)
        return {**losses, "segmentation": segmentation, "total": total}

    @torch.no_grad()
    def predict(self, images: Tensor, sizes: Sizes, original_sizes: Sizes) -> list[Prediction]:
        """Find the things and label the pixels of each image.

        Args:
            images: Normalised and padded at the right and bottom, float (B, 3, H, W).
            sizes: Height and width of each image without padding.
            original_sizes: Height and width of each wanted map.

        Raises:
            RuntimeError: The network is in training mode.
            ValueError: The batch's parts do not fit together.
        """
        if self.training:
            raise RuntimeError("predict needs the network in eval mode: call network.eval() first")
        self._check(images, sizes)
        if len(original_sizes) != len(images):
            raise ValueError(f"{len(images)} images need as many original sizes, not {len(original_sizes)}")
        pyramid, logits = self._features(images, sizes)
        proposals, _ = self.rpn(ImageList(images, list(sizes)), pyramid)
        detections = self.roi_heads(pyramid, proposals, sizes)
        each = zip(detections, logits.float(), sizes, original_sizes, strict=True)
        return [self._at_original_size(*image) for image in each]

    def _features(self, images: Tensor, sizes: Sizes) -> tuple[Features, Tensor]:
        """The modulated pyramid and the segmentation logits at stride 4, in the published order of operations."""
        pyramid = self.neck(self.backbone(images))
        to_background = self.foreground_to_background(pyramid, sizes)
        background = self.segmentation(pyramid)
        to_foreground = self.background_to_foreground(background, sizes)
        logits = self.segmentation.classify(modulate(background, to_background))
        return modulate(pyramid, to_foreground), logits

    def _at_original_size(
        self, found: Detections, logits: Tensor, size: tuple[int, int], original_size: tuple[int, int]
    ) -> Prediction:
        (height, width), (original_height, original_width) = size, original_size
        scale = (original_width / width, original_height / height) * 2
        boxes = found.boxes * found.boxes.new_tensor(scale)
        config = self.config
        masks = paste_masks(found.masks, boxes, original_size, config.mask_threshold, aligned=config.mask_aligned)
        semantic = label_pixels(logits, size, original_size)
        return Prediction(boxes, found.scores, found.labels, masks, semantic)

    def _check(self, images: Tensor, sizes: Sizes) -> None:
        divisor = self.config.image_divisor
        height, width = images.shape[-2:]
        if height % divisor or width % divisor:
            raise ValueError(f"images must be padded to multiples of {divisor}, not {height} x {width}")
        if len(sizes) != len(images) or any(not (0 < h <= height and 0 < w <= width) for h, w in sizes):
            raise ValueError(f"sizes {list(sizes)} do not fit {len(images)} images of {height} x {width}")
